"""stage(kind, config, inputs) → artifact: made once, found for ever after.

A stage is a function of its named inputs, its config and its revision. It never reads "the latest".
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from headrace.artifacts.at_work import at_work
from headrace.artifacts.store import Artifact, Draft, Store, key_of
from headrace.contracts.errors import ArtifactError
from headrace.contracts.manifest import Manifest
from headrace.contracts.progress import Progress, both, silent

log = logging.getLogger(__name__)


class Graph:
    """reused, made: which stages were found and which were worked out, by kind and name, each once, in order.

    read_only: what is not there is an error. Who serves a build must not train in its stead. Else what is under way is told
    in the store's `.progress`, beside `progress`. as_built: a log is also found as it was before users were erased: for a server,
    which knows them as nobody.
    """

    def __init__(self, store: Store, progress: Progress = silent, *, read_only: bool = False, as_built: bool = False):
        self.store, self.read_only, self.as_built = store, read_only, as_built
        self._at_work = None if read_only else at_work(store.root)
        self.progress = both(self._at_work, progress) if self._at_work else progress
        self.reused: list[str] = []
        self.made: list[str] = []
        self._open: dict[str, Artifact] = {}  # a stage asked for again is not checked byte by byte again

    def stage(
        self,
        kind: str,
        make: Callable[[Draft], None],
        *,
        config: Any,
        inputs: Mapping[str, Artifact] | None = None,
        revision: int = 1,
        personal: bool = False,
        name: str = "",
    ) -> Artifact:
        """make writes into the draft's folder. personal: holds data about people."""
        parents = {name: artifact.key for name, artifact in (inputs or {}).items()}
        key = key_of(kind, config, parents, revision)
        label = f"{kind} {name}".strip()
        if key in self._open:
            return self._open[key]
        found = self.store.find(kind, key)
        if found is None and self.read_only:
            raise ArtifactError(
                f"{self.store.root}: {label} is not there as this plan and version make it: the build was not finished, "
                "a user was forgotten, or the code or the files have changed since. Run headrace build again."
            )
        if found is None:
            # Another build of this folder may be at the same stage: it is waited for, and what it makes is used.
            with self.store.locked(key):
                found = self.store.find(kind, key)
                if found is None:
                    return self._made(Manifest(kind, key, revision, config, parents, personal=personal), make, label)
        self.reused.append(label)
        log.info("%s: found %s", label, key)
        self._open[key] = found
        return found

    def _made(self, manifest: Manifest, make: Callable[[Draft], None], label: str) -> Artifact:
        kind, key = manifest.kind, manifest.key
        with self._at_work.stage(label) if self._at_work else nullcontext(), self.store.create(manifest) as draft:
            make(draft)
        made = self.store.find(kind, key)
        if made is None:
            raise ArtifactError(f"{self.store.root}: {label} was written and is not there. Is something else deleting files?")
        self.made.append(label)
        self._open[key] = made
        log.info("%s: made %s in %.1f s", label, key, made.manifest.seconds)
        return made

    def checkpoint(self, kind: str, config: Any, inputs: Mapping[str, Artifact], revision: int) -> tuple[Path, str]:
        """Where a learned stage keeps its place, and the run it belongs to."""
        key = key_of(kind, config, {name: artifact.key for name, artifact in inputs.items()}, revision)
        return self.store.root / ".checkpoints" / f"{key}.safetensors", key
