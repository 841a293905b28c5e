"""What a catalogue was when its codes were made, item by item, so that a change is named and not only noticed.

    marks [n_items] = a 64-bit hash of each item's id and text, 0 for item 0;   fingerprint = sha256 of all of them

Items that came later stand behind the others (item numbers are append-only): they are new, not changed. Cost O(bytes of text).
"""

from collections.abc import Sequence
from hashlib import blake2b, sha256

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError, listed
from headrace.data.vocabulary import Vocabulary

Marks = NDArray[np.uint64]
_NAMED = 5


def marks_of(items: Vocabulary, texts: Sequence[str] | None = None) -> Marks:
    """texts: by item number, "" for none; without them an item's id is all that is known of it."""
    names = items.ids.to_list()
    said = [f"{name}\0" for name in names] if texts is None else map("\0".join, zip(names, texts[1:], strict=True))
    marks = b"".join(blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in said)
    return np.concatenate([np.zeros(1, np.uint64), np.frombuffer(marks, np.uint64)])


def fingerprint_of(marks: Marks) -> str:
    """What `SemanticIds.items` holds."""
    return sha256(marks.tobytes()).hexdigest()


def refuse_changed(then: Marks, now: Marks, items: Vocabulary) -> None:
    """now: of the catalogue at hand, whose vocabulary is `items`. It may have grown; what it had may not have changed."""
    kept = min(len(then), len(now))
    changed = np.flatnonzero(then[:kept] != now[:kept])
    lost = len(then) - kept
    if not len(changed) and not lost:
        return
    said = []
    if len(changed):
        names = [str(name) for name in items.decode(changed.astype(np.int32))]
        said.append(f"{len(changed):,} items have another id or text ({listed(names, _NAMED)})")
    if lost:
        said.append(f"{lost:,} items are not there any more")
    raise DataError(
        f"semantic ids: the catalogue is not the one that the codes were made of: {'; '.join(said)}. "
        "Make the codes again, or use the catalogue as it was."
    )
