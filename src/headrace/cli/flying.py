"""What fly, generations, promote and rollback show."""

from collections.abc import Sequence
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from headrace.artifacts.atomic import place
from headrace.cli.drawing import bars, page
from headrace.contracts.errors import ConfigError
from headrace.flywheel.generations import Generation, Generations
from headrace.flywheel.loop import fly
from headrace.flywheel.report import html, text

_SERVERS = "A server that runs follows within a second or two ([serve] reload_s)."


def fly_and_show(plan: Path, run: Path, generations: int, drills: Sequence[int]) -> None:
    wrong = next((number for number in drills if not 2 <= number <= generations), None)
    if wrong is not None:
        raise ConfigError(f"--drill {wrong}: a drill is one of 2 to {generations}; the first has nothing to fall behind.")
    with ExitStack() as stack:
        if str(plan) == "world" and not plan.is_file():
            plan = stack.enter_context(as_file(files("headrace.cli") / "fly.toml"))
        progress = stack.enter_context(bars(Console(stderr=True)))
        cycles = fly(plan, run, generations=generations, drills=drills, progress=progress)
    place(run / "flywheel.html", html(cycles, f"{run.name}: the flywheel"))
    live = Generations(run).live_number
    page().print(text(cycles), markup=False)
    page().print(f"\nLive: generation {live}. Report: {run / 'flywheel.html'}. Serve it: headrace serve {run}", markup=False)


def show_generations(run: Path) -> None:
    ledger = Generations(run)
    known = ledger.all()
    if not known:
        raise ConfigError(f"{run}: it has no generations. Make them: headrace fly shop.toml --out {run}.")
    for one in known:
        mark = "live" if one.number == ledger.live_number else ""
        page().print(f"{one.number:>4}  {mark:<5} {one.made}  {one.key[:12]}  {_says(one)}", markup=False)
    for move in ledger.moves:
        page().print(f"{move.at}  {move.what} to {move.to}: {move.why}", markup=False)


def promote(run: Path, number: int, why: str) -> None:
    chosen = Generations(run).promote(number, why)
    page().print(f"Live: generation {chosen.number} ({_says(chosen)}). {_SERVERS}", markup=False)


def roll_back(run: Path, why: str) -> None:
    chosen = Generations(run).rollback(why)
    page().print(f"Live again: generation {chosen.number}. {_SERVERS}", markup=False)


def _says(one: Generation) -> str:
    return str(one.verdict.get("says", "not judged"))
