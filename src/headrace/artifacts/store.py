"""Immutable results by key: written once under a temporary name, renamed into place, checked when opened.

The key is of what went in (kind, config, input keys, the component's revision), so the same work is found, not redone.
The digest is of the bytes, so damage is found, not served. Lineage is the parents' keys.
"""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import file_digest
from pathlib import Path
from time import perf_counter
from typing import Any

from headrace.artifacts.atomic import io_error
from headrace.contracts.config import digest
from headrace.contracts.errors import ArtifactError, HeadraceError
from headrace.contracts.manifest import Manifest

MANIFEST = "manifest.json"
_CANT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO}


def key_of(kind: str, config: Any, parents: Mapping[str, str], revision: int) -> str:
    """The name of the result of this work: 32 hex digits."""
    return digest({"kind": kind, "config": config, "parents": dict(parents), "revision": revision})[:32]


@dataclass(frozen=True)
class Artifact:
    """A folder that will not change again."""

    path: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        return self.manifest.key

    @property
    def digest(self) -> str:
        """Of the bytes of every file."""
        return digest(self.manifest.files)


@dataclass
class Draft:
    """A folder being written. `metrics`, `schema` and the window go into its manifest."""

    path: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] = field(default_factory=dict)
    window_us: tuple[int, int] | None = None


class Store:
    """root/KIND/KEY/…; drafts live in root/.drafts until they are whole."""

    def __init__(self, root: Path):
        self.root = root

    def find(self, kind: str, key: str) -> Artifact | None:
        """The artifact, its bytes checked; None when it was never made."""
        path = self.root / kind / key
        return open_artifact(path) if path.is_dir() else None

    @contextmanager
    def create(self, manifest: Manifest) -> Iterator[Draft]:
        """Write into the draft's folder; on leaving it becomes the artifact, on an error nothing is left of it."""
        started = perf_counter()
        target = self.root / manifest.kind / manifest.key
        with self._draft(manifest, target) as draft:
            yield draft
            _write_manifest(draft, manifest, round(perf_counter() - started, 3))
            try:
                os.rename(draft.path, target)
            except OSError:
                if not target.is_dir():  # another build made the same key, so the same thing, first: its copy stays
                    raise

    @contextmanager
    def _draft(self, manifest: Manifest, target: Path) -> Iterator[Draft]:
        """A folder of its own that is gone at the end, with what went wrong in words."""
        drafts = self.root / ".drafts"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            drafts.mkdir(exist_ok=True)
            _sweep(drafts)
            draft = Draft(Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-{manifest.kind}-", dir=drafts)))
        except OSError as error:
            raise ArtifactError(f"{self.root}: can't write there ({error.strerror}). Choose another folder with --out.") from None
        try:
            yield draft
        except Exception as error:
            cause = None if isinstance(error, HeadraceError) else io_error(error)
            if cause is None or cause.errno not in _CANT_WRITE:
                raise
            raise ArtifactError(f"{target}: could not be written ({cause.strerror}). Nothing half-written was kept.") from error
        finally:
            shutil.rmtree(draft.path, ignore_errors=True)

    @contextmanager
    def rewritten(self, manifest: Manifest) -> Iterator[Draft]:
        """An artifact's files to be replaced, under the same key: for an erasure alone, since all else holds artifacts
        unchanging.

        Files are hard links to the old ones: replace them whole, never write into them. On leaving, the folder takes the old
        one's place with the digests of its new bytes; on an error the old one stays. Killed between the two renames, the artifact
        is not there, so it is made again.
        """
        target = self.root / manifest.kind / manifest.key
        with self._draft(manifest, target) as draft:
            shutil.copytree(target, draft.path, copy_function=os.link, dirs_exist_ok=True)
            (draft.path / MANIFEST).unlink()
            draft.metrics, draft.schema, draft.window_us = manifest.metrics, manifest.schema, manifest.window_us
            yield draft
            _write_manifest(draft, manifest, manifest.seconds)
            old = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-erased-", dir=self.root / ".drafts"))
            os.rename(target, old / "was")
            os.rename(draft.path, target)
            shutil.rmtree(old)

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """One process at a time; a process that dies lets go."""
        path = self.root / ".locks" / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        except OSError as error:
            raise ArtifactError(f"{self.root}: can't write there ({error.strerror}). Choose another folder with --out.") from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def manifests(self) -> Iterator[Manifest]:
        """Of every artifact in the store, bytes not checked."""
        for path in sorted(self.root.glob(f"[!.]*/*/{MANIFEST}")):
            yield read_manifest(path.parent)

    def lineage(self, key: str) -> list[Manifest]:
        """The artifact and all it was made from, itself first."""
        known = {manifest.key: manifest for manifest in self.manifests()}
        found: dict[str, Manifest] = {}
        waiting = [key]
        while waiting:
            one = waiting.pop()
            if one in known and one not in found:
                found[one] = known[one]
                waiting.extend(known[one].parents.values())
        return list(found.values())

    def descendants(self, key: str) -> list[Manifest]:
        """All that was made from the artifact, nearest first: what an erasure has to rebuild."""
        known = list(self.manifests())
        found: dict[str, Manifest] = {}
        waiting = [key]
        while waiting:
            parent = waiting.pop(0)
            for manifest in known:
                if parent in manifest.parents.values() and manifest.key not in found:
                    found[manifest.key] = manifest
                    waiting.append(manifest.key)
        return list(found.values())


def open_artifact(path: Path) -> Artifact:
    """Check every byte against the manifest, then hand the folder out."""
    manifest = read_manifest(path)
    now = _digests(path)
    if now != manifest.files:
        changed = sorted(name for name in now.keys() | manifest.files.keys() if now.get(name) != manifest.files.get(name))
        raise ArtifactError(
            f"{path}: {', '.join(changed)} is not what was written (sha256 differs). Delete the folder and build again."
        )
    return Artifact(path, manifest)


def read_manifest(path: Path) -> Manifest:
    where = str(path / MANIFEST)
    try:
        values = json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{where}: can't be read ({error}). Delete the folder and build again.") from None
    return Manifest.from_dict(values, where)


def _write_manifest(draft: Draft, manifest: Manifest, seconds: float) -> None:
    whole = replace(
        manifest,
        files=_digests(draft.path),
        metrics=draft.metrics,
        schema=draft.schema,
        window_us=draft.window_us,
        seconds=seconds,
    )
    (draft.path / MANIFEST).write_text(json.dumps(whole.as_dict(), indent=1))


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / MANIFEST:
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = file_digest(file, "sha256").hexdigest()
    return found


def _sweep(drafts: Path) -> None:
    """Remove what a killed process left."""
    for path in drafts.iterdir():
        pid = path.name.split("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
