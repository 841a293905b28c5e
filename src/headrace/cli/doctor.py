"""What is installed, what is missing, and how to get it."""

import os
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from re import match

from rich.table import Table

from headrace.cli.drawing import page
from headrace.data.datasets.placing import default_home

FOR = {
    "": "everything",
    "faiss": "large vector indexes",
    "gpu": "block-sparse attention on a GPU",
    "lightgbm": "the lambdamart ranker",
    "ray": "headrace annotate --ray",
    "serve": "headrace serve",
    "tensorboard": "curves of a training run",
    "text": "reading items' texts with MiniLM",
}


def show() -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "needed for", "what to do"):
        table.add_column(column)
    python = ".".join(map(str, sys.version_info[:3]))
    good = [_row(table, sys.version_info >= (3, 11), "Python", python, FOR[""], "install Python 3.11 or newer")]
    for package, extra in _wanted():
        needed_for = FOR.get(extra, extra)
        try:
            good.append(_row(table, True, package, version(package), needed_for, ""))
        except PackageNotFoundError:
            remedy = f"pip install 'headrace[{extra}]'" if extra else "pip install headrace"
            good.append(_row(table, extra != "", package, "not installed", needed_for, remedy))
    _row(table, True, "processor cores", str(os.cpu_count()), "", "")
    _row(table, True, "GPU", _gpu(), "", "")
    home = default_home()
    writable, remedy = os.access(_existing(home), os.W_OK), "set XDG_CACHE_HOME to a folder you can write"
    good.append(_row(table, writable, "data cache", str(home), "headrace demo, headrace data get", remedy))
    own = os.environ.get("HEADRACE_DATA")
    there, remedy = own is None or os.path.isdir(own), "set it to a folder that is there, or unset it"
    good.append(_row(table, there, "HEADRACE_DATA", own or "not set", "data sets you have already", remedy))
    page().print(table)
    page().print(
        "\nNothing that is needed is missing. Begin with: headrace demo" if all(good) else "\nSee what to do, then ask again."
    )


def _row(table: Table, good: bool, what: str, found: str, needed_for: str, remedy: str) -> bool:
    missing = found == "not installed"
    mark = "[green]ok[/]" if good and not missing else "[yellow]optional[/]" if good else "[red]missing[/]"
    table.add_row(mark, what, found, needed_for, remedy if missing or not good else "")
    return good


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
