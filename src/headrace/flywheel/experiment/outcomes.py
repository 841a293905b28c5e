"""What each unit did after its exposure, and before it: sums by unit. No outcome counts that was before its exposure.

    counted      first_at <= at < first_at + window, of units whose window has closed by the end of the data
    covariate    first_at - covariate_days <= at < first_at
    left out     rows before exposure (beyond what the covariate takes), after the window, of units never exposed: told, not lost

A unit without outcomes is a unit with zeros: who did nothing was exposed too. A row's columns are added up, so a table of events
(one row each) and a table of daily totals both do. Cost: one join, O(rows log units).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from headrace.contracts.errors import DataError, listed, nearest
from headrace.flywheel.experiment.exposures import Exposed
from headrace.flywheel.experiment.plan import ExperimentPlan

BEFORE = "before "


@dataclass(frozen=True)
class Outcomes:
    """units: unit_id, arm, a column a sum, and BEFORE + column for the covariate. The rest: rows and units left out, and why."""

    units: pl.DataFrame
    rows: int
    before_exposure: int
    covariate: int
    after_window: int
    not_exposed: int
    open_units: int


def outcomes_of(plan: ExperimentPlan, found: Exposed, outcomes: pl.DataFrame, as_of: datetime | None = None) -> Outcomes:
    """outcomes: unit_id, at, and the plan's columns. as_of: the end of the data, the latest time in both tables by default."""
    _check(plan, outcomes)
    end = as_of or max(outcomes["at"].max(), found.units["first_at"].max())  # type: ignore[type-var]
    window = plan.window
    closed = pl.lit(True) if window is None else pl.col("first_at") + window <= end
    units = found.units.filter(closed)
    joined = outcomes.select("unit_id", "at", *plan.columns).join(found.units, on="unit_id", how="inner")
    after = pl.col("at") >= pl.col("first_at")
    inside = after if window is None else after & (pl.col("at") < pl.col("first_at") + window)
    days = timedelta(days=plan.covariate_days or 0)
    past = ~after & (pl.col("at") >= pl.col("first_at") - days)
    adjusted = [name for metric in plan.metrics if metric.cuped for name in metric.columns[:1]]
    wanted = [pl.col(name).filter(inside).sum() for name in plan.columns]
    wanted += [pl.col(name).filter(past).sum().alias(BEFORE + name) for name in dict.fromkeys(adjusted)]
    sums = joined.group_by("unit_id").agg(wanted)
    totals = units.join(sums, on="unit_id", how="left", maintain_order="left").with_columns(
        pl.exclude("unit_id", "arm", "first_at").fill_null(0)
    )
    told = joined.select(early=(~after & ~past).sum(), past=past.sum(), late=(after & ~inside).sum(), inside=inside.sum()).row(
        0, named=True
    )
    if len(outcomes) and len(joined) and not told["inside"]:
        raise DataError(
            f"{plan.experiment}: none of {len(joined):,} outcome rows of exposed units lies after its unit's exposure. "
            "Are the two tables in different time zones, or the outcomes those of an earlier week?"
        )
    return Outcomes(
        totals.drop("first_at"), len(outcomes), told["early"], told["past"], told["late"],
        len(outcomes) - len(joined), len(found.units) - len(units),
    )  # fmt: skip


def _check(plan: ExperimentPlan, outcomes: pl.DataFrame) -> None:
    needed = ("unit_id", "at", *plan.columns)
    if missing := [name for name in needed if name not in outcomes.columns]:
        hint = nearest(missing[0], outcomes.columns)
        raise DataError(f'outcomes have no column "{missing[0]}".{hint} They have: {listed(outcomes.columns, 30)}.')
    if getattr(outcomes["at"].dtype, "time_zone", None) is None:
        raise DataError(
            f'outcomes: column "at" is {outcomes["at"].dtype}, expected times with a zone (UTC), as exposures have them.'
        )
    _refuse_nulls(outcomes, ("unit_id", "at"))
    for name in plan.columns:
        column = outcomes[name]
        if not column.dtype.is_numeric() and column.dtype != pl.Boolean:
            raise DataError(f'outcomes: column "{name}" is {column.dtype}, expected numbers to add up.')
        wrong = ~column.cast(pl.Float64).is_finite().fill_null(False)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise DataError(
                f'outcomes: {int(wrong.sum()):,} rows have no number in "{name}". The first: row {row + 1:,} (unit '
                f'"{outcomes["unit_id"][row]}"). Write 0 for nothing; an unknown value is no outcome.'
            )
    for metric in plan.metrics:
        if metric.denominator is not None and (outcomes[metric.denominator].cast(pl.Float64) < 0).any():
            raise DataError(f'outcomes: "{metric.denominator}" is a denominator and has values below 0.')


def _refuse_nulls(outcomes: pl.DataFrame, columns: Iterable[str]) -> None:
    for name in columns:
        if empty := outcomes[name].null_count():
            row = int(outcomes[name].is_null().arg_max() or 0)
            raise DataError(
                f"outcomes: {empty:,} rows have no {name}. The first: row {row + 1:,}. Each outcome says whose and when."
            )
