"""The wheel: let time pass → retrain on the log → gates → promote, or stay. Each cycle makes one generation.

    RUN/cycles/0003/plan.json      what this cycle's build is of, before it begins
    RUN/cycles/0003/worth.json     true utility of both, read before a test takes days: after it the day to come is another
    RUN/cycles/0003/verdict.json   what the gates said, before anything is promoted
    RUN/cycles/0003/result.json    the cycle is over

A step leaves its file when it is done, whole or not at all, and is a function of the files before it. So a loop that is killed
anywhere goes on where it was: no day is served twice, no model trained twice, no promotion lost or made again.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from headrace.artifacts.at_work import at_work
from headrace.artifacts.atomic import place
from headrace.cascade.evaluation import evaluate_cascade
from headrace.cascade.foundation_section import anchored
from headrace.cascade.plan import read_toml
from headrace.contracts.config import digest
from headrace.contracts.errors import ConfigError
from headrace.contracts.progress import Progress, both, silent
from headrace.flywheel.drill import Drill
from headrace.flywheel.evidence import gather
from headrace.flywheel.gates.panel import Panel, Verdict
from headrace.flywheel.generations import Generations
from headrace.flywheel.opened import Opened, opened, pipeline_of, record
from headrace.flywheel.replay import Replay
from headrace.flywheel.settings import Flight, flight
from headrace.flywheel.simulated import Simulated
from headrace.flywheel.traffic import Traffic

FIRST = "the first: there was nothing to compare it with"


@dataclass(frozen=True)
class Cycle:
    """One turn. live: the number it was judged against. worth, live_worth: true utility a request, None where it is not known.

    estimate: what the log said of its lead, with its interval. offline: the difference of the first gate's metric, the same.
    """

    number: int
    generation: int
    live: int
    says: str
    promoted: bool
    drill: bool
    worth: float | None
    live_worth: float | None
    estimate: Mapping[str, Any] | None
    offline: Mapping[str, Any] | None
    decisions: Mapping[str, Any]
    style: Mapping[str, float]
    seconds: float


def fly(toml: Path, run: Path, *, generations: int, drills: Sequence[int] = (), progress: Progress = silent) -> list[Cycle]:
    """Every cycle up to that many, those of an earlier call first."""
    values = read_toml(toml)
    plan = flight(values, str(toml))
    plan = replace(plan, stages=anchored(plan.stages, toml.parent))
    _same(run, values, toml)
    progress = both(at_work(run / "store"), progress)
    panel = Panel.of(plan.gates, str(toml))
    wheel = _Wheel(run, plan, str(toml), panel, _traffic(plan, toml, run, progress), progress)
    done: list[Cycle] = []
    for number in range(1, generations + 1):
        why = wheel.traffic.ended(number)
        if why:
            raise ConfigError(f"{toml}: {why}")
        done.append(wheel.turn(number, done, drill=number in drills))
        progress("generation", number, generations)
    return done


@dataclass
class _Wheel:
    run: Path
    plan: Flight
    where: str
    panel: Panel
    traffic: Traffic
    progress: Progress

    def turn(self, number: int, before: Sequence[Cycle], *, drill: bool) -> Cycle:
        folder = self.run / "cycles" / f"{number:04d}"
        if (folder / "result.json").is_file():
            return Cycle(**json.loads((folder / "result.json").read_text()))
        started = perf_counter()
        ledger = Generations(self.run)
        verdict = _read(folder / "verdict.json")
        if verdict is None:
            verdict = self._judge(number, folder, before, drill=drill)
            place(folder / "verdict.json", json.dumps(verdict, indent=1))
        kept = json.loads((folder / "plan.json").read_text())
        facts = {**verdict["gates"], "cycle": number, "drill": drill}
        made = ledger.add(verdict["key"], plan=kept, verdict=facts)
        says, live, promotes = verdict["gates"]["says"], ledger.live_number, verdict["promotes"]
        if promotes and live not in (verdict["live"], made.number):  # moved by hand since: the verdict is about another one
            says, promotes = f"not promoted: judged against {verdict['live']}, and {live} is live by now", False
        elif promotes and live != made.number and (why := ledger.left(made.number)):
            says, promotes = f"not promoted: it was live and was rolled back ({why})", False
        elif promotes and live != made.number:
            ledger.promote(made.number, says, over=verdict["live"])
        known = {name: verdict[name] for name in ("live", "worth", "live_worth", "estimate", "offline", "style")}
        cycle = Cycle(
            number=number, generation=made.number, says=says, promoted=promotes, drill=drill,
            decisions=verdict["gates"]["decisions"], seconds=round(perf_counter() - started, 1), **known,
        )  # fmt: skip
        place(folder / "result.json", json.dumps(asdict(cycle), indent=1))
        return cycle

    def _judge(self, number: int, folder: Path, before: Sequence[Cycle], *, drill: bool) -> dict[str, Any]:
        """Time passes, a generation is built and held against the live one."""
        ledger = Generations(self.run)
        live = None if ledger.live is None else opened(self.run, ledger.live)
        kept = _read(folder / "plan.json")
        if kept is None:  # with a plan the build has begun, and time stands still until it is judged
            self.traffic.advance(number, live, self.progress)
            toml, base = self.traffic.plan(number, self.plan.stages)
            kept = record(toml, self.where, base)
            place(folder / "plan.json", json.dumps(kept, indent=1, default=str))
        kind: dict[str, Any] = {"kind": Drill} if drill and live is not None else {}
        candidate = Opened(f"generation {len(ledger.all()) + 1}", pipeline_of(kept, self.run / "store", self.progress, **kind))
        if self.plan.fly.measured and not kind:  # a drill is broken on purpose: how badly does not matter
            evaluate_cascade(candidate.pipeline)
        found: dict[str, Any] = {"key": candidate.pipeline.generation.key, "live": ledger.live_number, "estimate": None,
                                 "offline": None, "live_worth": None, "style": {}}  # fmt: skip
        if live is None:
            gates: dict[str, Any] = {"says": FIRST, "decisions": {}}
            return {**found, "gates": gates, "promotes": True, "worth": self.traffic.worth(candidate)}
        styles = [one.style for one in before if one.promoted and one.style]
        evidence = gather(candidate, live, self.plan.fly, styles)
        worth = _read(folder / "worth.json")
        if worth is None:
            worth = {"worth": self.traffic.worth(candidate), "live_worth": self.traffic.worth(live)}
            place(folder / "worth.json", json.dumps(worth))
        found |= worth
        verdict = self.panel.decide(candidate.name, live.name, evidence)
        if not verdict.blocked_by and "experiment" in self.panel.gates:
            evidence["experiment"] = self.traffic.trial(number, live, candidate, self.progress)
            verdict = self.panel.decide(candidate.name, live.name, evidence)
        estimate = evidence["off_policy"]
        return {
            **found,
            "gates": _told(verdict, drill=drill),
            "promotes": verdict.promotes and not drill,
            "estimate": None if estimate is None else estimate.as_dict(),
            "offline": next((row.as_dict() for row in evidence["offline"] if row.baseline and row.slice == "all"), None),
            "style": dict(evidence["style"].candidate),
        }


def cycles_of(run: Path) -> list[Cycle]:
    """Those that are over."""
    return [Cycle(**json.loads(path.read_text())) for path in sorted((run / "cycles").glob("*/result.json"))]


def clear(run: Path) -> bool:
    """After an erasure: the loop's cut logs, cycles and ledger go, so that it starts anew. False where no loop was."""
    if not (run / "fly.json").is_file():
        return False
    (run / "live.json").unlink(missing_ok=True)  # first: what is half cleared must not serve
    for name in ("generations", "cycles", "log", "world"):
        shutil.rmtree(run / name, ignore_errors=True)
    return True


def _told(verdict: Verdict, *, drill: bool) -> dict[str, Any]:
    told = verdict.as_dict()
    if drill:
        held = verdict.says if not verdict.promotes else "NOT BLOCKED: the gates are too weak; it was not promoted"
        told["says"] = f"drill, {held}"
    return told


def _traffic(plan: Flight, toml: Path, run: Path, progress: Progress) -> Traffic:
    if plan.world is not None:
        return Simulated(plan.world, run / "world", plan.fly, plan.seed)
    kept = record(plan.stages, str(toml), toml.parent)
    return Replay(pipeline_of(kept, run / "store", progress), run / "log", plan.fly)


def _same(run: Path, values: Mapping[str, Any], toml: Path) -> None:
    """A loop goes on with the plan it began with: another would make its cycles mean different things."""
    path, mine = run / "fly.json", digest(values)
    if path.is_file() and json.loads(path.read_text())["plan"] != mine:
        raise ConfigError(f"{run}: its loop began with another plan than {toml} is now. Take another folder with --out.")
    place(path, json.dumps({"plan": mine, "toml": str(toml)}))


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.is_file() else None
