"""An experiment read as its plan says: who was exposed, what came of it, what may be said at this look, what to do.

    result = analyse(plan, record, exposures, outcomes)
    print(text(result))                   printing.text
    result.decision("v7").status          passed, blocked or no_evidence, for a gate

Each look is one of those the design allows: of a fixed horizon there is one, at the planned units; before it there are no
intervals (infinite) and the decision is to hold. `result.look` goes into the record, so that the next look knows of it; it is
None where nothing could be said yet. A metric that doesn't vary at all gets no interval either: the normal approximation has
nothing to say of events too rare to have been seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Float64
from headrace.contracts.seams import Decision, Status
from headrace.evaluate.bootstrap import holm
from headrace.flywheel.experiment.decisions import Rule, Standing, State, Verdict, decide, guardrail_stands, primary_stands
from headrace.flywheel.experiment.designs import Look, critical, p_value
from headrace.flywheel.experiment.exposures import Exposed, exposed, sample_ratio
from headrace.flywheel.experiment.metrics import Sample, effect
from headrace.flywheel.experiment.outcomes import BEFORE, Outcomes, outcomes_of
from headrace.flywheel.experiment.plan import ExperimentPlan, Guardrail, Metric
from headrace.flywheel.experiment.record import Look as Recorded
from headrace.flywheel.experiment.record import Record

_STATUS: dict[Verdict, Status] = {"ship": "passed", "hold": "no_evidence", "stop": "blocked", "invalid": "blocked"}
_PASSES: dict[Standing, Status] = {
    "superior": "passed", "non-inferior": "passed", "unclear": "no_evidence", "worse": "blocked", "inferior": "blocked",
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One metric of one treatment. control, treatment: values; diff = treatment - control in [lo, hi] at 1 - α of the design.

    p: raw, of the design; p_holm: over all primaries, None for a guardrail. kept: variance left by CUPED, 1 without.
    """

    arm: str
    metric: Metric
    control: float
    treatment: float
    diff: float
    lo: float
    hi: float
    p: float
    n_control: int
    n_treatment: int
    kept: float
    standing: Standing = "unclear"
    p_holm: float | None = None

    def decision(self, alpha: float) -> Decision:
        """For a gate: a guardrail's observed figure is the worst loss the interval allows, a primary's is its adjusted p."""
        says = f"{self.metric.name} {self.diff:+.4g} [{self.lo:+.4g}, {self.hi:+.4g}]: {self.standing}"
        if isinstance(self.metric, Guardrail):
            worst = self.lo if self.metric.sign > 0 else -self.hi
            return Decision(_PASSES[self.standing], worst, -self.metric.margin, says)
        return Decision(_PASSES[self.standing], 1.0 if self.p_holm is None else self.p_holm, alpha, says)


@dataclass(frozen=True)
class Analysis:
    """counts: units exposed by arm; analysed: those whose window has closed. sample_ratio_p: of counts. rules: by treatment.

    look: to be recorded; None before a fixed horizon's end.
    """

    plan: ExperimentPlan
    counts: dict[str, int]
    analysed: dict[str, int]
    sample_ratio_p: float
    exposed: Exposed
    outcomes: Outcomes
    results: tuple[Result, ...]
    rules: dict[str, Rule]
    look: Recorded | None
    notes: tuple[str, ...]

    def of(self, arm: str) -> tuple[Result, ...]:
        return tuple(row for row in self.results if row.arm == arm)

    def verdict(self, arm: str) -> Verdict:
        return self.rules[arm].then

    def decision(self, arm: str) -> Decision:
        """The whole experiment as one gate sees it: the smallest adjusted p of the arm's primaries against α."""
        ratio = self.checks(arm)[0]
        if ratio.status != "passed":
            return ratio
        p = min(row.p_holm for row in self.of(arm) if row.p_holm is not None)
        return Decision(_STATUS[self.verdict(arm)], p, self.plan.alpha, f"{self.verdict(arm)}: {self.rules[arm].says}")

    def checks(self, arm: str) -> tuple[Decision, ...]:
        """Sample ratio first, then each primary and guardrail: observed, threshold, status."""
        p, least = self.sample_ratio_p, self.plan.sample_ratio_p
        says = ", ".join(f"{name} {count:,}" for name, count in self.counts.items())
        ratio = Decision("passed" if p >= least else "blocked", p, least, f"sample ratio: {says} (chi-square p = {p:.3g})")
        return (ratio, *(row.decision(self.plan.alpha) for row in self.of(arm)))


def analyse(
    plan: ExperimentPlan,
    record: Record,
    exposures: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    as_of: datetime | None = None,
    last: bool = False,
) -> Analysis:
    """exposures: the contract's table. outcomes: unit_id, at, the plan's columns. as_of: the end of the data.

    last: the experiment is over, with fewer units than planned; for a reason that is not its results. DataError, ConfigError.
    """
    record.check(plan)
    found = exposed(plan, exposures)
    counts = found.counts(plan)
    measured = outcomes_of(plan, found, outcomes, as_of)
    arms = {name: measured.units.filter(pl.col("arm") == name) for name in plan.allocation.names}
    analysed = {name: len(rows) for name, rows in arms.items()}
    if few := [name for name, count in analysed.items() if count < 2]:
        raise DataError(
            f'{plan.experiment}: arm "{few[0]}" has {analysed[few[0]]} units to analyse of {counts[few[0]]} exposed '
            f"({measured.open_units:,} units still have their window open). An arm needs two, and many more to see anything."
        )
    looks = {arm: _look(plan, record, analysed, arm, last) for arm in plan.treatments}
    rows = _judged(plan, [_result(plan, metric, arms, arm, looks[arm]) for arm in plan.treatments for metric in plan.metrics])
    ratio = sample_ratio(counts, plan)
    rules = {arm: decide(_state(plan, rows, arm, ratio, looks[arm])) for arm in plan.treatments}
    look = None
    if plan.design != "fixed" or all(one.ends for one in looks.values()):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        look = Recorded(now, analysed, {arm: rule.then for arm, rule in rules.items()}, last)
    notes = _notes(record, found, measured)
    return Analysis(plan, counts, analysed, ratio, found, measured, rows, rules, look, notes)


def sample(metric: Metric, units: pl.DataFrame) -> Sample:
    """One arm's units as the metric wants them."""
    y = _column(units, metric.column)
    c = _column(units, BEFORE + metric.column) if metric.cuped else None
    engaged = (y > 0).astype(np.float64)
    match metric.kind:
        case "breadth":
            return Sample(engaged, None, c)
        case "depth":
            return Sample(y * engaged, engaged, c)
        case "ratio":
            return Sample(y, _column(units, metric.denominator or ""), c)
        case "mean":
            return Sample(y, None, c)


def _look(plan: ExperimentPlan, record: Record, analysed: dict[str, int], arm: str, last: bool) -> Look:
    """This look in the comparison of an arm with control, after those recorded."""
    units = analysed[plan.control] + analysed[arm]
    before = [look for look in record.looks if look.units != analysed]
    closed = [look for look in before if look.last or plan.design == "fixed"]
    if closed and plan.design != "confidence_sequence":
        raise ConfigError(
            f"{plan.experiment}: its last look was taken on {closed[-1].at[:10]} and it was decided then "
            f"({closed[-1].decisions[arm]}). Another would be one more chance to be wrong. To go on, begin a new experiment."
        )
    earlier = tuple(look.units[plan.control] + look.units[arm] for look in before)
    if plan.design == "group_sequential" and earlier and units <= earlier[-1]:
        raise ConfigError(
            f"{plan.experiment}: {units:,} units now, {earlier[-1]:,} at the look before. A look has more than the last one."
        )
    return Look(units=units, planned=plan.planned(arm), earlier=earlier, last=last, burn_in=plan.burn_in)


def _result(plan: ExperimentPlan, metric: Metric, arms: dict[str, pl.DataFrame], arm: str, look: Look) -> Result:
    treatment, control = sample(metric, arms[arm]), sample(metric, arms[plan.control])
    found = effect(treatment, control)
    value, se = float(found.difference), float(found.se)
    if not math.isfinite(value):
        raise DataError(f'{plan.experiment}: "{metric.name}" has no value in an arm: no unit there has a denominator above 0.')
    radius = critical(plan.design, plan.alpha, look) * se if se > 0 else math.inf
    p = p_value(plan.design, plan.alpha, look, float(found.z)) if se > 0 else 1.0
    return Result(
        arm, metric, float(found.control), float(found.treatment), value, value - radius, value + radius, p,
        len(control), len(treatment), float(found.kept),
    )  # fmt: skip


def _judged(plan: ExperimentPlan, rows: Sequence[Result]) -> tuple[Result, ...]:
    """With Holm over the primaries of all treatments, and where each metric stands."""
    primaries = [row for row in rows if not isinstance(row.metric, Guardrail)]
    adjusted: Float64 = holm(np.array([row.p for row in primaries]))
    by_row = {(row.arm, row.metric.name): float(p) for row, p in zip(primaries, adjusted, strict=True)}
    judged = []
    for row in rows:
        p, sign = by_row.get((row.arm, row.metric.name)), row.metric.sign
        if isinstance(row.metric, Guardrail):
            lo, hi = sorted((sign * row.lo, sign * row.hi))
            judged.append(replace(row, standing=guardrail_stands(lo, hi, row.metric.margin)))
        elif p is not None:
            judged.append(replace(row, p_holm=p, standing=primary_stands(p, sign * row.diff, plan.alpha)))
    return tuple(judged)


def _state(plan: ExperimentPlan, rows: Sequence[Result], arm: str, ratio: float, look: Look) -> State:
    mine = [row for row in rows if row.arm == arm]
    return State(
        sample_ratio_holds=ratio >= plan.sample_ratio_p,
        primaries=tuple(row.standing for row in mine if row.p_holm is not None),
        guardrails=tuple(row.standing for row in mine if row.p_holm is None),
        ended=look.ends,
    )


def _notes(record: Record, found: Exposed, measured: Outcomes) -> tuple[str, ...]:
    """What a reader has to know of the rows that were left out."""
    early = int((found.units["first_at"] < record.started).sum())
    said = (
        (early, "units were exposed before the plan was sealed: the plan may have been chosen by what they did"),
        (found.crossovers, "units were in two arms and are left out"),
        (found.repeated, "exposures repeat a unit's first one"),
        (measured.open_units, "units have their window still open and come in later"),
        (measured.before_exposure, "outcome rows are before their unit's exposure and are left out"),
        (measured.after_window, "outcome rows are after their unit's window and are left out"),
        (measured.not_exposed, "outcome rows are of units not in this experiment"),
    )
    return tuple(f"{count:,} {words}" for count, words in said if count)


def _column(units: pl.DataFrame, name: str) -> Float64:
    return units[name].cast(pl.Float64).to_numpy()
