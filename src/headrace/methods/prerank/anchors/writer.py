"""What an anchor writer is: it reads a user's history and writes the codes of what the user may want next.

It is fitted like any component: a learned one has `learn(interactions, artifacts) -> Learned`, another `fit(interactions,
artifacts)`. `needs` has "semantic_ids" at least. Then it writes, offline, once a user; nothing of it is served.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.config import as_dict, digest
from headrace.contracts.requests import Float32, History, Int32
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.llm.asking import Tally


@runtime_checkable
class AnchorWriter(Protocol):
    """ids: the codes it writes. cut_us: nothing at or after it had a say in its weights. at_once: users that are best written
    in one call; a job that is killed loses no more.

    fingerprint: changes whenever it might write something else of the same history. What it writes of a history hangs on that
    history alone (but for rounding), so that a user's anchors can be kept until the user's history changes.
    """

    @property
    def needs(self) -> tuple[str, ...]: ...
    @property
    def at_once(self) -> int: ...
    @property
    def ids(self) -> SemanticIds: ...
    @property
    def cut_us(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...

    def readable(self, history: History) -> History:
        """What of a history it looks at: a change elsewhere in it changes no anchor."""
        ...

    def write(self, history: History, n: int) -> tuple[Int32, Float32]:
        """codes [R, n, L] of n different interests, the most probable first, and log P of each, the sum over its codes. -1 and
        -inf where there are fewer, and in rows without a readable event."""
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]: ...


@runtime_checkable
class Asking(Protocol):
    """A writer that asks a model outside. tally: of what it asked. keep: answers are kept in this folder from now on."""

    @property
    def tally(self) -> Tally: ...
    def keep(self, folder: Path) -> None: ...


def fingerprint_of(writer: Any, settings: Any = None) -> str:
    """Of all that a stored writer is: its revision, its settings (or these in their place), its arrays."""
    found = sha256(digest({"revision": writer.revision, "settings": as_dict(settings or writer.config)}).encode())
    for name, values in sorted(writer.arrays().items()):
        found.update(f"{name}{values.dtype}{values.shape}".encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
