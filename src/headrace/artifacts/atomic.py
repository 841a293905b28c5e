"""A small file replaced whole: a reader sees the old text or the new, and a failed write leaves the old."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.contracts.errors import ArtifactError, HeadraceError


def io_error(error: BaseException) -> OSError | None:
    """The system's error behind an exception, or None. Polars and safetensors wrap it and leave only its number in their text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes to the path: a full disk, a missing right or a file where a folder should be is said in one line."""
    try:
        yield
    except Exception as error:
        cause = io_error(error)
        if cause is None or isinstance(error, HeadraceError):
            raise
        raise ArtifactError(f"{path}: could not be written ({cause.strerror}). Make room, or choose another folder.") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside the path to write to; renamed over it once the block ends well, gone where it does not."""
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


def place(path: Path, text: str) -> None:
    """Write beside it, then rename over it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise ArtifactError(f"{path}: can't write there ({error.strerror}). Choose another folder with --out.") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # else a power cut after the rename can leave an empty file under the name
        os.replace(name, path)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError):
            raise ArtifactError(f"{path}: could not be written ({error.strerror}). What stood there before still does.") from None
        raise


def settle(path: Path) -> None:
    """What a file holds, or which names a folder has, is on disk when it returns."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
