"""A small experiment with a known effect, as logs have it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from headrace.contracts.rng import rng
from headrace.flywheel.experiment.assignment import Arm
from headrace.flywheel.experiment.exposures import exposures_of
from headrace.flywheel.experiment.plan import ExperimentPlan, Guardrail, Metric

START = datetime(2026, 3, 1, tzinfo=UTC)
ARMS = (Arm(name="current"), Arm(name="new"))
CLICKS = Metric(name="clicks", kind="mean", column="clicks")
COMPLAINTS = Guardrail(name="complaints", kind="mean", column="complaints", better="lower", margin=0.05)


def plan(**changed) -> ExperimentPlan:
    settings = {
        "experiment": "shop-1", "control": "current", "units": 900, "arms": ARMS, "primary": (CLICKS,),
        "guardrails": (COMPLAINTS,), "window_days": 7.0,
    }  # fmt: skip
    return ExperimentPlan(**{**settings, **changed})


def logs(
    of: ExperimentPlan, units: int = 2000, *, lift: float = 0.0, harm: float = 0.0, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Exposures over ten days from START; one outcome row a day and unit, from ten days before the first exposure to the window's
    end. Treated units click by lift more and complain by harm more, once they are exposed."""
    stream = rng(seed, "shop", units)
    ids = [f"u{number}" for number in range(units)]
    first = pl.Series(
        [START + timedelta(hours=int(hour)) for hour in stream.integers(0, 240, units)], dtype=pl.Datetime("us", "UTC")
    )
    exposures = exposures_of(of, ids, first)
    taste = pl.DataFrame({"unit_id": ids, "taste": stream.gamma(2.0, 0.1, units)})
    days = pl.DataFrame({"day": np.arange(-10, 20)})
    rows = exposures.select("unit_id", "arm", "first_at").join(taste, on="unit_id").join(days, how="cross")
    rows = rows.with_columns(at=pl.lit(START) + pl.duration(days=pl.col("day")))
    treated = ((rows["arm"] == "new") & (rows["at"] >= rows["first_at"])).to_numpy()
    clicks = stream.poisson(rows["taste"].to_numpy() * (1 + lift * treated))
    complaints = stream.random(len(rows)) < 0.01 + harm * treated
    outcomes = rows.select("unit_id", "at").with_columns(
        clicks=pl.Series(clicks), views=pl.Series(clicks + stream.poisson(1.0, len(rows))), complaints=pl.Series(complaints)
    )
    return exposures, outcomes
