"""The ledger told: each generation, its parent, what every gate saw and wanted to see, and each move with its reason.

A gate that blocked says what it observed and the threshold it had; a required one without evidence holds a release too. Moves
stand in the order of time, a guardrail's among them. Beside them is what runs now: an experiment's arms, a shadow, a watch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from headrace.contracts.errors import HeadraceError
from headrace.flywheel.generations import Generation, Move
from headrace.flywheel.loop import Cycle, cycles_of
from headrace.serve.api.experiments import told as experiment_told
from headrace.serve.api.generations import told
from headrace.serve.console.charts import Spec, toned
from headrace.serve.console.evaluation_charts import of_turns
from headrace.serve.console.paging import part
from headrace.serve.console.view import Link, View
from headrace.serve.live.holder import GUARDRAIL

LINK = Link("/releases", "Releases")
_AT_ONCE = 20
_HOURS = {"hours": "%H:%M", "minutes": "%H:%M"}  # of a clock of 24; larger units are told as they are


@dataclass(frozen=True)
class Decided:
    """One gate's word. observed, threshold: None where there is no figure."""

    gate: str
    status: str
    observed: float | None
    threshold: float | None
    reason: str
    required: bool


@dataclass(frozen=True)
class Release:
    """status: as the server has it. left: why it was rolled back from, "" where it was not."""

    number: int
    key: str
    parent: int
    made: str
    status: str
    says: str
    left: str
    decided: list[Decided]


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    def releases(page: str = "1") -> Response:
        serving = view.serving
        live, now = serving.live, told(serving.live)
        status = {one.number: one.status for one in now.generations}
        try:
            known, moves = live.ledger.all(), live.ledger.moves
        except HeadraceError:
            known, moves = [], []  # `told` says why
        of_all = part(page, len(known), _AT_ONCE)
        newest = known[::-1][of_all.start : of_all.stop]
        experiments = [] if live.arms is None else [experiment_told(serving, live.arms)]
        of_run = turns(serving.folder)
        return view.page(
            "releases.html.jinja", here=LINK, now=now, experiments=experiments, moves=moves[::-1], part=of_all,
            releases=[release(one, status.get(one.number, "closed"), live.ledger.left(one.number)) for one in newest],
            timeline=timeline(moves), turns=of_run, leads=leads(of_run[::-1]),
            of_guardrail=lambda move: move.why.startswith(GUARDRAIL),
        )  # fmt: skip

    return router


def release(one: Generation, status: str, left: str) -> Release:
    decisions, required = one.verdict.get("decisions", {}), one.verdict.get("required", ())
    decided = [_decided(gate, seen, gate in required) for gate, seen in decisions.items()]
    return Release(one.number, one.key, one.parent, one.made, status, str(one.verdict.get("says", "")), left, decided)


def _decided(gate: str, seen: Mapping[str, Any], required: bool) -> Decided:
    return Decided(gate, seen["status"], seen["observed"], seen["threshold"], seen["reason"], required)


def turns(run: Path) -> list[Cycle]:
    """Of the flywheel, the last first; none of a run that a build made."""
    try:
        return cycles_of(run)[::-1]
    except (OSError, ValueError, TypeError):  # of another version
        return []


def leads(cycles: Sequence[Cycle]) -> Spec | None:
    """What each candidate's difference to the live one was on the log, with its interval, and what became of it."""
    rows = []
    for one in cycles:
        if one.offline is not None and one.offline.get("diff") is not None:
            change, lo, hi = (one.offline[name] for name in ("diff", "diff_lo", "diff_hi"))
            became = "drill" if one.drill else "promoted" if one.promoted else "held back"
            told = {"generation": one.generation, "metric": one.offline["metric"], "change": change, "lo": lo, "hi": hi}
            rows.append({**told, "became": became})
    return of_turns(rows) if rows else None


def timeline(moves: Sequence[Move]) -> Spec | None:
    """Which generation was live when. None before there are two moves."""
    if len(moves) < 2:
        return None
    rows = [
        {"at": one.at, "live": one.to, "move": "guardrail" if one.why.startswith(GUARDRAIL) else one.what, "why": one.why}
        for one in moves
    ]
    at = {"field": "at", "type": "temporal", "title": None, "scale": {"type": "utc"}, "axis": {"format": _HOURS}}
    live = {"field": "live", "type": "quantitative", "title": "live generation", "axis": {"tickMinStep": 1, "format": "d"}}
    kind = toned(rows, "move", {"promote": "better", "rollback": "sand", "guardrail": "worse"})
    return {
        "data": {"values": rows}, "height": 160, "encoding": {"x": at, "y": live},
        "layer": [
            {"mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5, "opacity": 0.5}},
            {"mark": {"type": "point", "tooltip": True, "opacity": 1}, "encoding": {"color": kind}},
        ],
    }  # fmt: skip
