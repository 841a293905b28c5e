"""A small file replaced whole: a reader sees the old text or the new, and a failed write leaves the old."""

import os
import tempfile
from pathlib import Path

from headrace.contracts.errors import ArtifactError


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
        os.replace(name, path)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError):
            raise ArtifactError(f"{path}: could not be written ({error.strerror}). What stood there before still does.") from None
        raise
