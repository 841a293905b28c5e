"""Bytes from where they are published: a folder of the user's own, an address, a package on PyPI or npm. Checked before use."""

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import new
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

from headrace.contracts.errors import DataError

Files = Mapping[str, bytes]
"""File name -> contents."""

VARIABLE = "HEADRACE_DATA"


class NotThere(Exception):
    """A source that has no copy, and why. The next one is tried."""


def first_of(name: str, folder: str, sources: Iterable[Callable[[], Files]], how: str) -> Files:
    """The files of the first source that has them; DataError names all that were tried. how: what the user can do."""
    tried = []
    for source in sources:
        try:
            return source()
        except NotThere as reason:
            tried.append(str(reason))
    reasons = "".join(f"\n  tried {reason}" for reason in tried)
    raise DataError(f"{name} could not be had.{reasons}\n  {how} Then set {VARIABLE} to the folder that holds {folder}/.")


def local(folder: str, choices: Iterable[Iterable[str]]) -> Files:
    """The first choice of files that $HEADRACE_DATA/folder holds whole: plain, as .gz, or in a zip there or beside the folder."""
    root = os.environ.get(VARIABLE)
    if not root:
        raise NotThere(f"{VARIABLE}: not set")
    place = Path(root) / folder
    for wanted in map(list, choices):
        if all((place / name).is_file() or (place / f"{name}.gz").is_file() for name in wanted):
            return {name: _plain_or_gz(place / name) for name in wanted}
        for archive in (place / f"{folder}.zip", Path(root) / f"{folder}.zip"):
            if archive.is_file():
                with suppress(NotThere):  # the next choice may be the one it holds
                    return unzipped(archive.read_bytes(), {f"{folder}/{name}": name for name in wanted}, str(archive))
    names = " or ".join(", ".join(choice) for choice in choices)
    raise NotThere(f"{place}: has no {names}")


def _plain_or_gz(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())


def download(url: str, *, digest: str | None = None, algorithm: str = "md5", timeout_s: float = 5.0) -> bytes:
    """digest: hexadecimal, checked where the publisher's file never changes."""
    try:
        with urlopen(url, timeout=timeout_s) as answer:
            content: bytes = answer.read()
    except (OSError, HTTPException) as error:
        raise NotThere(f"{url}: {error}") from None
    return _checked(content, digest, algorithm, url)


def wheel(requirement: str, sha256: str) -> bytes:
    """The wheel of one pinned release ("name==1.2"), fetched with pip. It is a zip; nothing in it is installed or run."""
    return _package(requirement, sha256, "--only-binary=:all:")


def sdist(requirement: str, sha256: str) -> bytes:
    """The source archive of one pinned release. pip runs its setup.py for its metadata, but only once the digest fits."""
    return _package(requirement, sha256, "--no-binary=:all:")


def _package(requirement: str, sha256: str, form: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        folder, wanted = Path(scratch, "got"), Path(scratch, "wanted.txt")
        folder.mkdir()
        wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", form, "--quiet", "--require-hashes"]
        command = [*pip, "--dest", str(folder), "--requirement", str(wanted)]
        return _brought(command, folder, sha256, f"pip download {requirement}")


def npm(requirement: str, sha256: str) -> bytes:
    """The archive of one pinned npm release ("name@1.2"), fetched with npm. It is a tar.gz; nothing in it is installed or run."""
    with tempfile.TemporaryDirectory() as scratch:
        program = shutil.which("npm") or "npm"  # on Windows it is a script with another ending
        command = [program, "pack", requirement, "--ignore-scripts", "--silent", "--pack-destination", scratch]
        return _brought(command, Path(scratch), sha256, f"npm pack {requirement}")


def _brought(command: list[str], folder: Path, sha256: str, where: str) -> bytes:
    """The one archive that the command leaves in the folder."""
    try:
        run(command)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise NotThere(f"{where}: {said[-1] if said else error}") from None
    archives = list(folder.iterdir())
    if len(archives) != 1:
        raise NotThere(f"{where}: no archive came")
    return _checked(archives[0].read_bytes(), sha256, "sha256", where)


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)


def unzipped(archive: bytes, wanted: Mapping[str, str], where: str) -> Files:
    """wanted: path inside the archive -> name to give it."""
    try:
        with zipfile.ZipFile(BytesIO(archive)) as opened:
            return {name: opened.read(path) for path, name in wanted.items()}
    except (zipfile.BadZipFile, KeyError) as error:
        raise NotThere(f"{where}: {error}") from None


def _checked(content: bytes, digest: str | None, algorithm: str, where: str) -> bytes:
    found = new(algorithm, content, usedforsecurity=False).hexdigest()
    if digest is not None and found != digest:
        raise NotThere(f"{where}: its {algorithm} is {found}, expected {digest}")
    return content
