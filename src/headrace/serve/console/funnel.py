"""What each stage of the cascade loses: of the items people went on to choose, the share it still holds, as was measured.

Of any generation of the run, and another beside it. A share stands without an interval: it is of the whole test window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Response

from headrace.cascade.evaluation import Measured
from headrace.serve.console.charts import Spec, toned
from headrace.serve.console.evaluation import chosen, name
from headrace.serve.console.view import Link, View

LINK = Link("/funnel", "Funnel")


@dataclass(frozen=True)
class Step:
    """hands_on: items. recall: of what was chosen, the share among them. lost: the share this stage dropped. other: the
    recall of the generation beside it, None of none."""

    stage: str
    hands_on: int
    recall: float
    lost: float
    other: float | None = None


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    def funnel(generation: str = "", against: str = "") -> Response:
        known = view.serving.live.all()
        choice = chosen(known, view.serving.live.number, generation, against)
        this = view.evaluations.of(choice.this)
        other = None if choice.against is None else view.evaluations.of(choice.against)
        steps = [] if this is None else steps_of(this, other)
        facts: Mapping[str, Any] = {} if this is None else this.facts
        two = None if choice.against is None or other is None else chart_of_two(steps, (name(choice.this), name(choice.against)))
        return view.page(
            "funnel.html.jinja", here=LINK, known=known, choice=choice, name=name, steps=steps, drawn=chart_of(steps), two=two,
            asked={one: facts[one] for one in ("test users", "test requests") if one in facts}, other=other,
        )  # fmt: skip

    return router


def steps_of(this: Measured, other: Measured | None = None) -> list[Step]:
    """From the widest stage to the page."""
    before = [1.0, *(recall for _, _, recall in this.losses)]
    beside = {} if other is None else {stage: recall for stage, _, recall in other.losses}
    return [
        Step(stage, k, recall, had - recall, beside.get(stage))
        for had, (stage, k, recall) in zip(before, this.losses, strict=False)
    ]


def chart_of(steps: Sequence[Step]) -> Spec:
    """What is left and what is lost, a bar a stage, both of one whole."""
    rows = [
        {"stage": one.stage, "part": part, "share": round(share, 5)}
        for one in steps
        for part, share in (("still held", one.recall), ("lost here", one.lost))
    ]
    part = toned(rows, "part", {"still held": "water", "lost here": "sand"})
    return {
        "data": {"values": rows}, "height": {"step": 44}, "mark": {"type": "bar", "tooltip": True},
        "encoding": {"y": _STAGE, "x": _SHARE, "color": part, "order": {"field": "part", "sort": "descending"}},
    }  # fmt: skip


def chart_of_two(steps: Sequence[Step], names: tuple[str, str]) -> Spec:
    """What each still holds, a bar under the other."""
    rows = [
        {"stage": one.stage, "generation": name, "share": round(share, 5)}
        for one in steps
        for name, share in zip(names, (one.recall, one.other), strict=True)
        if share is not None
    ]
    whose = {"field": "generation", "type": "nominal", "sort": None}
    return {
        "data": {"values": rows}, "height": {"step": 20}, "mark": {"type": "bar", "tooltip": True},
        "encoding": {"y": _STAGE, "yOffset": whose, "x": _SHARE, "color": whose},
    }  # fmt: skip


_STAGE: Spec = {"field": "stage", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 150}}
_SHARE: Spec = {
    "field": "share", "type": "quantitative", "title": "share of chosen items", "scale": {"domain": [0, 1]},
    "axis": {"format": "%"},
}  # fmt: skip
