"""What each stage of the cascade loses: of the items people went on to choose, the share it still holds, as the build found."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response

from headrace.cascade.evaluation import evaluate_cascade
from headrace.contracts.errors import HeadraceError
from headrace.serve.console.charts import Spec
from headrace.serve.console.view import Link, View
from headrace.serve.service import Service

LINK = Link("/funnel", "Funnel")


@dataclass(frozen=True)
class Step:
    """hands_on: items. recall: of what was chosen, the share among them. lost: the share this stage dropped."""

    stage: str
    hands_on: int
    recall: float
    lost: float


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    def funnel() -> Response:
        service = view.serving.service
        losses, facts = measured(service)
        before = [1.0, *(recall for _, _, recall in losses)]
        steps = [Step(stage, k, recall, had - recall) for had, (stage, k, recall) in zip(before, losses, strict=False)]
        asked = {name: facts[name] for name in ("test users", "test requests") if name in facts}
        return view.page("funnel.html.jinja", here=LINK, steps=steps, drawn=chart_of(steps), asked=asked)

    return router


def measured(service: Service) -> tuple[list[tuple[str, int, float]], dict[str, object]]:
    """(stage, items handed on, recall) from the widest stage to the page, and what it was measured on; empty where it was not."""
    try:
        found = evaluate_cascade(service.pipeline)
    except HeadraceError:  # a server makes nothing: a flywheel's generations, say, were judged by their gates
        return [], {}
    return found.losses, found.facts


def chart_of(steps: Sequence[Step]) -> Spec:
    """What is left and what is lost, a bar a stage, both of one whole."""
    rows = [
        {"stage": one.stage, "part": part, "share": round(share, 5)}
        for one in steps
        for part, share in (("still held", one.recall), ("lost here", one.lost))
    ]
    stage = {"field": "stage", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 150}}
    share = {"field": "share", "type": "quantitative", "title": "share of chosen items", "scale": {"domain": [0, 1]}}
    part = {"field": "part", "type": "nominal", "sort": None, "scale": {"domain": ["still held", "lost here"]}}
    return {
        "data": {"values": rows}, "height": {"step": 44}, "mark": {"type": "bar", "tooltip": True},
        "encoding": {"y": stage, "x": share, "color": part, "order": {"field": "part", "sort": "descending"}},
    }  # fmt: skip
