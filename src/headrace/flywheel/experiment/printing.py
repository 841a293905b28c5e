"""An analysis as a table: what was found, how sure that is, what to do."""

import math
from typing import Any

from headrace.flywheel.experiment.analysis import Analysis, Result
from headrace.flywheel.experiment.plan import ExperimentPlan

_DESIGNS = {
    "fixed": "fixed horizon", "group_sequential": "group sequential, O'Brien-Fleming spending",
    "confidence_sequence": "confidence sequence",
}  # fmt: skip
_INTERVALS = {
    "fixed": "intervals of one look", "group_sequential": "intervals that hold at all looks together",
    "confidence_sequence": "intervals that hold at every moment together",
}  # fmt: skip


def text(analysis: Analysis) -> str:
    """A block for each treatment, then what was left out."""
    plan = analysis.plan
    foot = (
        f"{_INTERVALS[plan.design]}, {100 * (1 - plan.alpha):g}%; p Holm-adjusted over the primaries; "
        "a guardrail holds where its interval keeps inside the margin"
    )
    ratio = ", ".join(f"{name} {count:,}" for name, count in analysis.counts.items())
    lines = [f"sample ratio: {ratio} exposed, chi-square p = {_p(analysis.sample_ratio_p)}"]
    if analysis.sample_ratio_p < plan.sample_ratio_p:
        lines[0] += f", below {plan.sample_ratio_p:g}: the arms are not what they should be"
    blocks = [_block(analysis, arm) for arm in plan.treatments]
    return "\n\n".join([*blocks, "\n".join([*lines, *analysis.notes, foot])])


def as_dict(analysis: Analysis) -> dict[str, Any]:
    """For JSON: the same figures, and each check as a gate reads it. An interval that is not there yet is null."""
    return {
        "experiment": analysis.plan.experiment,
        "plan_digest": analysis.plan.digest,
        "exposed": analysis.counts,
        "analysed": analysis.analysed,
        "sample_ratio_p": analysis.sample_ratio_p,
        "arms": {
            arm: {
                "decision": analysis.rules[arm].then,
                "because": analysis.rules[arm].says,
                "metrics": [_figures(row) for row in analysis.of(arm)],
                "checks": [vars(check) | {"observed": _finite(check.observed)} for check in analysis.checks(arm)],
            }
            for arm in analysis.plan.treatments
        },
        "notes": list(analysis.notes),
    }


def _figures(row: Result) -> dict[str, Any]:
    return {
        "metric": row.metric.name, "control": row.control, "treatment": row.treatment, "diff": row.diff,
        "lo": _finite(row.lo), "hi": _finite(row.hi), "p": row.p, "p_holm": row.p_holm, "n_control": row.n_control,
        "n_treatment": row.n_treatment, "variance_kept": row.kept, "stands": row.standing,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _block(analysis: Analysis, arm: str) -> str:
    plan, rows = analysis.plan, analysis.of(arm)
    units, planned = sum(analysis.analysed[name] for name in (plan.control, arm)), plan.planned(arm)
    size = f"n = {units:,} of {planned:,} {plan.unit_kind}s planned ({100 * units / planned:.0f}%)"
    opening = f"{plan.experiment}, {_DESIGNS[plan.design]}, {size}"
    head = ["metric", plan.control, arm, f"{arm} - {plan.control}", "p", "needs", "stands"]
    lines = [head, *(_line(plan, row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    table = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    rule = analysis.rules[arm]
    return "\n".join([opening, *table, f"{arm}: {rule.then}: {rule.says}"])


def _line(plan: ExperimentPlan, row: Result) -> list[str]:
    if row.p_holm is not None:
        p, needs = _p(row.p_holm), f"p < {plan.alpha:g}"
    else:
        margin = getattr(row.metric, "margin", math.nan)
        p, needs = "", f"> -{margin:g}" if row.metric.sign > 0 else f"< +{margin:g}"
    name = row.metric.name if row.kept == 1 else f"{row.metric.name} (CUPED, variance x {row.kept:.2f})"
    span = f"[{_signed(row.lo)}, {_signed(row.hi)}]" if math.isfinite(row.hi) else "no interval yet"
    return [name, f"{row.control:.4g}", f"{row.treatment:.4g}", f"{_signed(row.diff)} {span}", p, needs, row.standing]


def _signed(value: float) -> str:
    return f"{value:+.3g}"


def _p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.3g}"
