"""What serve does: answers until a signal stops it."""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from headrace.cli.drawing import page
from headrace.cli.serving_doctor import writable
from headrace.contracts.errors import ConfigError, MissingExtra
from headrace.contracts.serving import ServeConfig


def serve_run(
    folder: Path,
    host: str,
    port: int,
    log_format: Literal["text", "json"] = "text",
    anyone: bool = False,
    experiment: Path | None = None,
    shadow: str | None = None,
    redis_url: str | None = None,
    redis_password: Path | None = None,
    writes_log: bool | None = None,
    workers: int | None = None,
) -> None:
    """anyone: whoever reaches it may ask, though there are no keys. From experiment on: instead of the plan's."""
    if find_spec("uvicorn") is None:
        raise MissingExtra("uvicorn", "serve", "Serving")
    # One thread of numpy's for an answer, as of torch's: a second one spins between answers and takes another's core. It has
    # to be set before numpy is loaded; processes that are started have it from here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from headrace.serve.guard.keys import FILE, KeyRing
    from headrace.serve.guard.log_lines import log_to_stderr
    from headrace.serve.workers.settings import check_built, serve_settings

    check_built(folder)
    check_writable(folder)
    ring = KeyRing(folder / FILE)
    check_reach(folder, host, closed=ring.closed, anyone=anyone)
    log_to_stderr(log_format)
    other: dict[str, Any] = {} if experiment is None else {"experiment": str(experiment.resolve())}
    other |= {} if shadow is None else {"shadow": int(shadow) if shadow.isdigit() else shadow}
    other |= {} if redis_url is None else {"state": "redis", "redis_url": redis_url}
    other |= {} if redis_password is None else {"redis_password_file": str(redis_password)}
    other |= {} if writes_log is None else {"writes_log": writes_log}
    settings: ServeConfig = replace(serve_settings(folder), **other)
    settings = settings if workers is None else replace(settings, workers=workers)

    def say(port: int) -> None:
        at = f"http://{host}:{port}"
        page().print(f"{folder} answers on {at}/v1/recommend; try it on {at}/docs, look into it on {at}/console")
        page().print(_who(folder, ring.closed, len(ring.keys), host))

    if settings.workers > 1:
        _supervise(folder, host, port, settings, log_format, other, say)
        return
    from headrace.serve.app import create_app
    from headrace.serve.guard.listening import server
    from headrace.serve.workers.sockets import held, port_of

    with ExitStack() as until_it_ends:  # the port before the run is opened: one that is taken is said at once
        sockets = [until_it_ends.enter_context(one) for one in held(host, port, shared=False)]
        port = port_of(sockets)
        server(create_app(folder, **other), host, port, lambda: say(port)).run(sockets)


def _supervise(
    folder: Path, host: str, port: int, settings: ServeConfig, log_format: Literal["text", "json"], other: dict[str, Any],
    say: Callable[[int], None],
) -> None:  # fmt: skip
    """Ends as one process does: by the signal that stopped it."""
    from headrace.serve.workers.sockets import held, port_of
    from headrace.serve.workers.supervisor import Supervisor

    sockets = held(host, port)
    port = port_of(sockets)
    supervisor = Supervisor(
        folder, settings.workers, sockets, settings, log_format=log_format, other=other, ready=lambda: say(port)
    )  # fmt: skip
    signal.raise_signal(supervisor.run())


def check_writable(folder: Path) -> None:
    """What is served is logged in the run's own folder."""
    found, remedy = writable(folder)
    if remedy:
        raise ConfigError(f"{found}, where logs and state are kept: {remedy}.")


def check_reach(folder: Path, host: str, *, closed: bool, anyone: bool) -> None:
    """A server that asks for no key is not put on a network by accident."""
    if closed or anyone or loopback(host):
        return
    raise ConfigError(
        f"--host {host}: others could ask this server, and it has no keys. Make one: headrace keys add {folder} NAME --scope "
        "read,write. Or answer this machine alone with --host 127.0.0.1, or let everybody in with --open."
    )


def loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _who(folder: Path, closed: bool, keys: int, host: str) -> str:
    if closed:
        return f"It asks for a key: {keys} known, headrace keys list {folder} names them."
    reach = "whoever runs on this machine" if loopback(host) else "whoever reaches it"
    return f"It asks for no key: {reach} may do everything. Keys: headrace keys add {folder} NAME --scope read,write"
