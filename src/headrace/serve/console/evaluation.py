"""How good a generation was found to be: every figure with its interval, by slice, its calibration, and another beside it.

What is chosen stands in the address. A page shows one metric in charts and one slice in tables, because all at once are thousands
of figures; every other is a choice away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Response
from markupsafe import Markup

from headrace.cascade.evaluation import Measured
from headrace.evaluate.rows import Row, in_order
from headrace.serve.console import evaluation_charts as drawn
from headrace.serve.console.charts import chart
from headrace.serve.console.evaluated import Beside, beside, slices, tables
from headrace.serve.console.view import Link, View
from headrace.serve.live.known import Known

LINK = Link("/evaluation", "Evaluation")


@dataclass(frozen=True)
class Choice:
    """against: None for none. trouble: what of the address can't be used, and why."""

    this: Known
    against: Known | None
    trouble: list[str]


def routes(view: View) -> APIRouter:
    router, found = APIRouter(), view.evaluations

    @router.get(LINK.url)
    def evaluation(generation: str = "", against: str = "", metric: str = "", slice: str = "all") -> Response:
        known = view.serving.live.all()
        choice = chosen(known, view.serving.live.number, generation, against)
        this = found.of(choice.this)
        other = None if choice.against is None else found.of(choice.against)
        nothing: dict[str, Any] = {"metrics": [], "slices": [], "metric": "", "slice": "all"}
        shown = nothing if this is None else looked_at(this, metric, slice)
        if this is not None and other is not None and choice.against is not None:
            names = (name(choice.this), name(choice.against))
            shown |= compared(this.rows, other.rows, names, shown["metric"], shown["slice"])
        return view.page(
            "evaluation.html.jinja", here=LINK, known=known, choice=choice, this=this, other=other, name=name,
            **{"pairs": [], "two": [], "differences": [], **shown},
        )  # fmt: skip

    return router


def chosen(known: Sequence[Known], live: int, generation: str, against: str) -> Choice:
    """The one that answers by default."""
    by_number, trouble = {str(one.number): one for one in known}, list[str]()
    for asked in (generation, against):
        if asked and asked not in by_number:
            trouble.append(f"There is no generation {asked!r:.80}. There are: {', '.join(by_number)}.")
    this = by_number.get(generation) or by_number.get(str(live)) or known[-1]
    other = by_number.get(against)
    return Choice(this, None if other == this else other, trouble)


def looked_at(measured: Measured, metric: str, part: str) -> dict[str, Any]:
    """All that the page shows of one generation. A metric or slice it does not have is its first."""
    rows = measured.rows
    metrics, parts = in_order(row.metric for row in rows), slices(rows)
    metric = metric if metric in metrics else metrics[0]
    part = part if part in parts else parts[0]
    return {
        "metrics": metrics, "slices": parts, "metric": metric, "slice": part,
        "tables": tables([row for row in rows if row.slice == part]),
        "methods": methods_drawn(rows, metric, part), "by_slice": slices_drawn(rows, metric),
        "calibration": calibration_drawn(measured),
    }  # fmt: skip


def methods_drawn(rows: Sequence[Row], metric: str, part: str) -> list[Markup]:
    asked = tables([row for row in rows if row.metric == metric and row.slice == part])
    heads = {"method": "method", **drawn.COLUMNS, "against the baseline": "against the baseline"}
    return [
        chart(drawn.of_methods(found), f"{stage}: {metric}", "The line is the 95% interval over users.", heads)
        for stage, found in asked
    ]


def slices_drawn(rows: Sequence[Row], metric: str) -> list[Markup]:
    """Of stages that were measured on more than one slice."""
    asked = [(stage, found) for stage, found in tables([row for row in rows if row.metric == metric]) if len(slices(found)) > 1]
    heads = {"slice": "slice", "method": "method", **drawn.COLUMNS}
    return [chart(drawn.of_slices(found), f"{stage}: {metric} by slice", "", heads) for stage, found in asked]


def calibration_drawn(measured: Measured) -> Markup | None:
    curves = [one for one in measured.curves if one.predicted]
    if not curves:
        return None
    heads = {"method": "method", "predicted": "predicted", "observed": "observed", "rows": "rows"}
    return chart(drawn.of_calibration(curves), "Predicted chances and what came of them", "Bins of equal mass.", heads)


def compared(
    these: Sequence[Row], others: Sequence[Row], names: tuple[str, str], metric: str, part: str
) -> dict[str, list[Beside] | list[Markup]]:
    pairs = [one for one in beside(these, others) if one.this.slice == part]
    stages = in_order(one.this.stage for one in pairs if one.this.metric == metric)
    of_stage = {stage: [one for one in pairs if (one.this.stage, one.this.metric) == (stage, metric)] for stage in stages}
    heads = {"method": "method", "generation": "generation", **drawn.COLUMNS}
    two = [
        chart(drawn.of_two(found, names), f"{stage}: {metric}", "Each with its 95% interval.", heads)
        for stage, found in of_stage.items()
    ]
    told = {"method": "method", "change": "difference", "lo": "from", "hi": "to", "says": "says"}
    differences = [
        chart(drawn.of_differences(found), f"{stage}: difference in {metric}", "The line is the 95% interval.", told)
        for stage, found in of_stage.items()
    ]
    return {"pairs": pairs, "two": two, "differences": differences}


def name(one: Known) -> str:
    return f"generation {one.number}" if one.number else f"build {one.key[:12]}"
