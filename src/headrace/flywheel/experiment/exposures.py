"""Who was exposed to which arm, and since when; what is wrong with it is named before anything is measured.

    duplicates      the same unit in the same arm again: its first time holds
    crossovers      a unit in two arms: refused with its name, or excluded and counted, as the plan says
    sample ratio    chi-square of units by arm against the plan's shares; p < 0.001 means that something else than the hash
                    decides who is counted (a crash in one arm, a lost log), and no difference between the arms can be trusted

Source: Fabijan et al., Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError, listed, nearest
from headrace.contracts.tables import EXPOSURES
from headrace.flywheel.experiment.assignment import OUTSIDE, Ids, assign
from headrace.flywheel.experiment.normal import chi_square_above
from headrace.flywheel.experiment.plan import ExperimentPlan


@dataclass(frozen=True)
class Exposed:
    """units: unit_id, arm, first_at, one row a unit. repeated: rows of a unit that was there. crossovers: units excluded."""

    units: pl.DataFrame
    repeated: int
    crossovers: int

    def counts(self, plan: ExperimentPlan) -> dict[str, int]:
        """Units by arm, in the plan's order."""
        found = dict(self.units.group_by("arm").len().iter_rows())
        return {name: found.get(name, 0) for name in plan.allocation.names}


def exposures_of(plan: ExperimentPlan, ids: Ids, at: datetime | pl.Series) -> pl.DataFrame:
    """The rows to log when units come in at `at`: those that enter, with their arm. A row of the EXPOSURES table each."""
    arms = assign(plan.allocation, ids)
    names = pl.Series([*plan.allocation.names, None], dtype=pl.String)
    rows = pl.DataFrame({"unit_id": pl.Series(ids, dtype=pl.String), "arm": names.gather(pl.Series(arms % len(names)))})
    rows = rows.with_columns(
        first_at=at if isinstance(at, pl.Series) else pl.lit(at),
        experiment_id=pl.lit(plan.experiment),
        unit_kind=pl.lit(plan.unit_kind),
    )
    return rows.filter(pl.Series(arms != OUTSIDE)).select(pl.col(name).cast(kind) for name, kind in EXPOSURES.schema().items())


def exposed(plan: ExperimentPlan, exposures: pl.DataFrame) -> Exposed:
    """exposures: the EXPOSURES table, of any experiments. DataError names the first unit that can't be used."""
    rows = _of_plan(plan, exposures)
    first = rows.group_by("unit_id").agg(
        pl.col("arm").sort_by("first_at").first(), pl.col("first_at").min(), arms=pl.col("arm").unique().sort(), rows=pl.len()
    )
    crossed = first.filter(pl.col("arms").list.len() > 1)
    if len(crossed) and plan.crossovers == "refuse":
        unit, both = crossed.sort("unit_id").select("unit_id", pl.col("arms").list.join(" and ")).row(0)
        raise DataError(
            f"{plan.experiment}: {len(crossed):,} of {len(first):,} units were exposed to two arms. "
            f'The first: "{unit}" ({both}). '
            "Such a unit can't tell the arms apart. Were weights changed while it ran, or ids merged? "
            'Mend the log, or set crossovers = "exclude" before the start to leave them out, counted.'
        )
    kept = first.filter(pl.col("arms").list.len() == 1).sort("unit_id")
    repeated = int((kept["rows"] - 1).sum())
    return Exposed(kept.select("unit_id", "arm", "first_at"), repeated, len(crossed))


def sample_ratio(counts: Mapping[str, int], plan: ExperimentPlan) -> float:
    """p of the chi-square test that units fell on the arms as planned. Not valid below some five units an arm."""
    found = np.array([counts[name] for name in plan.allocation.names], np.float64)
    if not found.sum():
        return 1.0
    wanted = found.sum() * plan.allocation.shares
    return chi_square_above(float(((found - wanted) ** 2 / wanted).sum()), len(found) - 1)


def _of_plan(plan: ExperimentPlan, exposures: pl.DataFrame) -> pl.DataFrame:
    if missing := [name for name in EXPOSURES.names if name not in exposures.columns]:
        raise DataError(f"exposures lack {listed(missing)}. They have: {listed(exposures.columns)}.")
    rows = exposures.filter(pl.col("experiment_id") == plan.experiment)
    if not len(rows):
        there = exposures["experiment_id"].unique().sort().to_list()
        hint = nearest(plan.experiment, there)
        raise DataError(f'exposures hold no row of "{plan.experiment}".{hint} Experiments: {listed(there) or "none"}.')
    for column, allowed in (("arm", plan.allocation.names), ("unit_kind", (plan.unit_kind,))):
        other = rows.filter(~pl.col(column).is_in(allowed).fill_null(False))
        if len(other):
            row = other.row(0, named=True)
            raise DataError(
                f'exposures of "{plan.experiment}": {len(other):,} rows have another {column} than the plan. '
                f'The first: unit "{row["unit_id"]}", {column} "{row[column]}". The plan has: {listed(allowed)}.'
            )
    if rows["unit_id"].null_count() or rows["first_at"].null_count():
        raise DataError(f'exposures of "{plan.experiment}": rows without unit_id or first_at. Each exposure has both.')
    return rows
