"""A data set's tables on disk: made once in a temporary folder, then moved into place whole."""

import os
import shutil
import tempfile
from pathlib import Path

from headrace.data.datasets.about import DataSet
from headrace.data.datasets.checking import check_folder


def default_home() -> Path:
    """$XDG_CACHE_HOME/headrace, else ~/.cache/headrace."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "headrace"


def placed(about: DataSet, home: Path) -> Path:
    """The folder with the tables; made if it is not there. A reader never sees half of one."""
    target = home / f"{about.name}-r{about.revision}"
    if target.is_dir():
        return target
    home.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{about.name}-", dir=home))
    try:
        about.make(making)
        (making / "LICENCE.txt").write_text(about.licence, encoding="utf-8")
        check_folder(making, about)
        making.chmod(0o755)
        try:
            making.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster, and made the same
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target
