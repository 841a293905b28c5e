"""What is installed, what is missing, and how to get it."""

import os
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from re import match

from rich.table import Table

from headrace.cli.drawing import page
from headrace.data.datasets.placing import default_home


def show() -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "what to do"):
        table.add_column(column)
    python = ".".join(map(str, sys.version_info[:3]))
    _row(table, sys.version_info >= (3, 11), "Python", python, "install Python 3.11 or newer")
    for package, extra in _wanted():
        try:
            _row(table, True, package, version(package), "")
        except PackageNotFoundError:
            remedy = f"pip install 'headrace[{extra}]'" if extra else "pip install headrace"
            _row(table, extra != "", package, "not installed", remedy)
    _row(table, True, "processor cores", str(os.cpu_count()), "")
    _row(table, True, "GPU", _gpu(), "")
    home = default_home()
    _row(table, os.access(_existing(home), os.W_OK), "data cache", str(home), "set XDG_CACHE_HOME to a folder you can write")
    own = os.environ.get("HEADRACE_DATA")
    there = own is None or os.path.isdir(own)
    _row(table, there, "HEADRACE_DATA", own or "not set", "set it to a folder that is there, or unset it")
    page().print(table)


def _row(table: Table, good: bool, what: str, found: str, remedy: str) -> None:
    missing = found == "not installed"
    mark = "[green]ok[/]" if good and not missing else "[yellow]optional[/]" if good else "[red]missing[/]"
    table.add_row(mark, what, found, remedy if missing or not good else "")


def _wanted() -> list[tuple[str, str]]:
    """(package, extra) of all that is declared; what only developers need is left out."""
    found: dict[str, str] = {}
    for line in requires("headrace") or []:
        name = match(r"[\w.-]+", line)
        extra = match(r".*extra == ['\"]([\w-]+)['\"]", line)
        if name is None or name[0] == "headrace" or (extra and extra[1] == "dev"):
            continue
        found.setdefault(name[0], extra[1] if extra else "")
    return sorted(found.items(), key=lambda pair: (pair[1], pair[0]))


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none; nothing here needs one"


def _existing(path: os.PathLike[str]) -> str:
    text = os.fspath(path)
    while not os.path.exists(text):
        text = os.path.dirname(text)
    return text
