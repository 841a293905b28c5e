"""What serve does: answers until a signal stops it."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from headrace.cli.drawing import page
from headrace.contracts.errors import ConfigError, MissingExtra


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
) -> None:
    """anyone: whoever reaches it may ask, though there are no keys. From experiment on: instead of the plan's."""
    try:
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingExtra("uvicorn", "serve", "Serving") from None
    from headrace.serve.app import create_app
    from headrace.serve.guard.keys import FILE, KeyRing
    from headrace.serve.guard.listening import server
    from headrace.serve.guard.log_lines import log_to_stderr

    ring = KeyRing(folder / FILE)
    check_reach(folder, host, closed=ring.closed, anyone=anyone)
    log_to_stderr(log_format)
    other: dict[str, Any] = {} if experiment is None else {"experiment": str(experiment.resolve())}
    other |= {} if shadow is None else {"shadow": int(shadow) if shadow.isdigit() else shadow}
    other |= {} if redis_url is None else {"state": "redis", "redis_url": redis_url}
    other |= {} if redis_password is None else {"redis_password_file": str(redis_password)}
    other |= {} if writes_log is None else {"writes_log": writes_log}
    listens = server(create_app(folder, **other), host, port)
    page().print(f"{folder} answers on http://{host}:{port}/v1/recommend; try it on http://{host}:{port}/docs")
    page().print(_who(folder, ring.closed, len(ring.keys), host))
    listens.run()


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
