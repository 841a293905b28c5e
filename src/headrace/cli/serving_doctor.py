"""Whether a run can be served, and safely: what was found, and what to do about what was not."""

import os
import resource
import shutil
import socket
import stat
import time
from importlib.util import find_spec
from pathlib import Path

from rich.table import Table

from headrace.cli.drawing import page
from headrace.contracts.errors import HeadraceError

_FILES, _FREE_GB = 1024, 1.0
_PARTS = ("fastapi", "lmdb", "onnxruntime", "prometheus_client", "uvicorn")


def show_serving(run: Path, port: int) -> bool:
    """Whether nothing stands against it."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "what to do"):
        table.add_column(column, overflow="fold")
    good = True
    for what, check in (
        ("parts", _parts), ("run", _run), ("logs and state", writable), ("disk", _disk), ("keys", _keys), ("clock", _clock),
        ("workers", _workers), ("open files", _files),
    ):  # fmt: skip
        good &= _row(table, what, *check(run))
    good &= _row(table, "port", *_port(port))
    page().print(table)
    page().print("\nIt can be served." if good else "\nSee what to do, then ask again.")
    return good


def _row(table: Table, what: str, found: str, remedy: str) -> bool:
    table.add_row("[red]no[/]" if remedy else "[green]ok[/]", what, found, remedy)
    return not remedy


def _parts(_: Path) -> tuple[str, str]:
    missing = [one for one in _PARTS if find_spec(one) is None]
    if missing:
        return f"{', '.join(missing)} not installed", "pip install 'headrace[serve]'"
    redis = ", redis too" if find_spec("redis") else "; redis is not, which several servers of one run need"
    return f"installed{redis}", ""


def _run(run: Path) -> tuple[str, str]:
    from headrace.flywheel.opened import open_live

    try:
        return f"generation {open_live(run, as_built=True).generation.key}", ""
    except HeadraceError as error:
        return "does not open", str(error)


def writable(run: Path) -> tuple[str, str]:
    """The nearest folder that is there: what is missing the server makes."""
    folder = next(one for one in (run / "served" / "state", run / "served", run, *run.absolute().parents) if one.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} can't be written", f"chown or chmod it for user {os.getuid()}, as whom you serve"
    return f"{folder} can be written", ""


def _disk(run: Path) -> tuple[str, str]:
    free_gb = shutil.disk_usage(next(one for one in (run, *run.absolute().parents) if one.exists())).free / 1e9
    return f"{free_gb:.1f} GB free", "" if free_gb >= _FREE_GB else f"make room: {_FREE_GB:g} GB for logs and state at least"


def _keys(run: Path) -> tuple[str, str]:
    from headrace.serve.guard.keys import FILE, read_keys

    path = run / FILE
    if not path.exists():
        return "none: it will answer this machine alone", ""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return f"{path} has mode {mode:03o}", f"others may read it: chmod 600 {path}"
    try:
        keys = read_keys(path)
    except HeadraceError as error:
        return "can't be read", str(error)
    return f"{len(keys)}, readable by you alone", ""


def _clock(run: Path) -> tuple[str, str]:
    """Events are dated by it: one behind the files of this very run is wrong."""
    newest = max((one.stat().st_mtime for one in (run, *run.glob("*"))), default=0.0) if run.exists() else 0.0
    behind_s = newest - time.time()
    said = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return said, "" if behind_s < 5 else f"the run's files are {behind_s:.0f} s ahead of it: set it, and keep it with NTP"


def _files(_: Path) -> tuple[str, str]:
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = f"each connection takes one: ulimit -n {_FILES}"
    return f"{most} may be open (hard limit {hard})", "" if most >= _FILES or most == resource.RLIM_INFINITY else wanted


def _workers(run: Path) -> tuple[str, str]:
    from headrace.serve.workers.settings import serve_settings

    try:
        settings = serve_settings(run)
    except HeadraceError as error:
        return "not known", str(error)
    cores = len(os.sched_getaffinity(0))
    said = f"{settings.workers} on {cores} cores"
    return said, "" if settings.workers <= cores else f"they would take each other's time: [serve] workers = {cores} at most"


def _port(port: int) -> tuple[str, str]:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            return f"{port}: {error.strerror}", "stop what listens there, or choose another with --port"
    return f"{port} is free", ""
