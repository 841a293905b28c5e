"""headrace bench: how much a server bears, on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from headrace.serve.bench.traffic import Traffic

bench_app = typer.Typer(no_args_is_help=True, help="Load on a server: serve.")
_MIX = "recommend=80,events=15,explain=5"


@bench_app.command()
def serve(
    target: Annotated[str, typer.Argument(help="A build's folder, which is served here for it; or the URL of a server.")],
    run: Annotated[Path | None, typer.Option(help="With a URL: the build whose users and items are asked for.")] = None,
    key: Annotated[str | None, typer.Option(envvar="HEADRACE_API_KEY", help="With a URL: an API key.")] = None,
    rates: Annotated[str, typer.Option(help="Requests a second, one step each, rising.")] = "10,20,40,60,80,120,160,240",
    seconds: Annotated[float, typer.Option(min=1, help="How long a step is.")] = 15.0,
    mix: Annotated[str | None, typer.Option(help=f"Shares of the routes; {_MIX}, for a URL recommend=95,explain=5.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Of a build: by how many processes it is served.")] = 1,
    limit_ms: Annotated[float, typer.Option(help="What a page may take at p99 for a step to hold.")] = 50.0,
    seed: Annotated[int, typer.Option(help="Another seed, other users at other times.")] = 0,
    out: Annotated[Path | None, typer.Option(help="All figures as JSON.")] = None,
) -> None:
    """Requests at random times, faster each step, until a page in a hundred is late or one is not answered.

    A build is served from a copy of links: nothing of the load gets into its logs. To a URL no events go unless --mix says so.

    Example:  headrace bench serve runs/demo --rates 10,20,40 --seconds 10

    A server that runs:  headrace bench serve http://10.0.0.5:8765 --run runs/shop
    """
    import asyncio
    import json
    from contextlib import ExitStack

    from headrace.artifacts.atomic import place
    from headrace.contracts.errors import ConfigError
    from headrace.serve.bench.started import started
    from headrace.serve.bench.steps import Wanted, measure
    from headrace.serve.bench.traffic import shares_of

    elsewhere = target.startswith(("http://", "https://"))
    folder = run if elsewhere else Path(target)
    if folder is None:
        raise ConfigError(f"{target}: whose users shall ask? Name the build that it serves: --run runs/shop.")
    traffic = _traffic(folder, shares_of(mix or ("recommend=95,explain=5" if elsewhere else _MIX)), seed)
    wanted = Wanted(_rates(rates), seconds, limit_ms)
    with ExitStack() as stack:
        here = None if elsewhere else stack.enter_context(started(folder, workers=workers))
        url, pid = (target, None) if here is None else (here.url, here.pid)
        found = asyncio.run(measure(url, key, traffic, wanted, pid, lambda what: typer.echo(what, err=True)))
        found["machine"] = _machine(here)
    if here is not None:
        found["start_s"] = here.start_s
    _show(found)
    if out is not None:
        place(out, json.dumps(found, indent=1) + "\n")


def _rates(said: str) -> list[float]:
    try:
        found = [float(one) for one in said.split(",")]
    except ValueError:
        found = []
    if not found or min(found) <= 0 or found != sorted(set(found)):
        raise typer.BadParameter(f'"{said}" is no rising list of rates, as in 10,20,40.', param_hint="--rates")
    return found


def _traffic(folder: Path, shares: dict[str, float], seed: int) -> "Traffic":
    """Of the build's log: its users, its items, and its first kind of event that counts as wanted."""
    from headrace.flywheel.opened import open_live
    from headrace.serve.bench.traffic import Traffic

    log = open_live(folder, as_built=True).log
    kind = next((name for name, one in log.kinds.items() if one.polarity == "positive"), None)
    return Traffic(log.users.ids.to_list(), log.items.ids.to_list(), kind, shares, seed)


def _machine(here: Any) -> dict[str, Any]:
    import os

    found: dict[str, Any] = {"cores": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 2)}
    if here is not None:
        found["workers"] = here.workers
        found |= {"server_cores": list(here.server_cores), "client_cores": list(here.client_cores)}
        found["shared_cores"] = bool(set(here.server_cores) & set(here.client_cores))
    return found


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table

    from headrace.cli.drawing import page

    console = page()
    table = Table(box=None, pad_edge=False)
    for column in ("a second", "route", "requests", "p50 ms", "p95 ms", "p99 ms", "turned away", "failed", "client late p99 ms"):
        table.add_column(column, justify="left" if column == "route" else "right")
    for step in found["steps"]:
        if "cpu_ms_a_request" in step:
            said = f"server, a request: {step['cpu_ms_a_request']} ms of CPU, {step['waited_ms_a_request']} ms waiting for a core"
            table.add_row(f"{step['per_s']:g}", said)
        for name, one in step["routes"].items():
            shown = [one[key] for key in ("requests", "p50_ms", "p95_ms", "p99_ms", "turned_away", "failed")]
            table.add_row(f"{step['per_s']:g}", name, *map(str, shown), str(step["client_late_p99_ms"]))
        for name, one in step["stages"].items():
            shown = [round(one["answers"]), one["p50_ms"], one["p95_ms"], one["p99_ms"]]
            table.add_row(f"{step['per_s']:g}", f"  {name}, by the server", *map(str, shown), "", "", "")
    console.print(table)
    for line in lines(found):
        console.print(line, markup=False)


def lines(found: dict[str, Any]) -> list[str]:
    """What the table does not say."""
    most, machine = found["held_per_s"], found["machine"]
    tail = "; no step failed, so it may bear more" if found["stepped_to_the_end"] else ""
    said = [f"Held: {most:g} a second at p99 <= {found['limit_ms']:g} ms and without a failure{tail}."]
    if fresh := found.get("event_to_answer"):
        never = f", {fresh['never']} never" if fresh["never"] else ""
        said.append(
            f"From an event to a page that knows it: {fresh['p50_ms']} ms in the middle, {fresh['worst_ms']} at worst{never}."
        )
    said += [
        f"Server {when}: {weight['rss_mb']} MB RSS, {weight['pss_mb']} MB PSS, {weight['private_mb']} MB private in "
        f"{weight['processes']} processes, {weight['files']} open files."
        for when in ("before", "after")
        if (weight := found.get(f"weight_{when}"))
    ]
    if "server_cores" in machine:
        cores = f"server on {machine['server_cores']}, client on {machine['client_cores']} of {machine['cores']}"
        said.append(f"Cores: {cores}{', SHARED' if machine['shared_cores'] else ''}; load {machine['load_1min']} at the end.")
    else:
        said.append(f"The client ran here, at load {machine['load_1min']}; if the server did too, they shared this machine.")
    return said
