from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.contracts.tables import EXPOSURES
from headrace.flywheel.experiment.assignment import Arm
from headrace.flywheel.experiment.exposures import exposed, exposures_of, sample_ratio
from tests.flywheel.experiment.example import START, logs, plan

ROWS, _ = logs(plan(), 300)


def test_assigned_units_are_rows_of_the_contract():
    assert ROWS.schema == EXPOSURES.schema()
    assert exposed(plan(), ROWS).counts(plan()) == dict(ROWS.group_by("arm").len().iter_rows())
    outside = exposures_of(plan(span=(0.0, 0.5)), [f"u{number}" for number in range(300)], START)
    assert 100 < len(outside) < 200
    assert outside["arm"].null_count() == 0


def test_the_first_exposure_holds():
    later = ROWS.with_columns(pl.col("first_at") + timedelta(days=3))
    found = exposed(plan(), pl.concat([later, ROWS]))
    assert found.units.equals(exposed(plan(), ROWS).units)
    assert found.repeated == 300


def test_a_unit_in_two_arms_is_named():
    moved = ROWS.filter(pl.col("unit_id") == "u7").with_columns(
        arm=pl.when(pl.col("arm") == "new").then(pl.lit("current")).otherwise(pl.lit("new"))
    )
    rows = pl.concat([ROWS, moved])
    with pytest.raises(DataError, match=r'1 of 300 units were exposed to two arms. The first: "u7" \(current and new\)'):
        exposed(plan(), rows)
    found = exposed(plan(crossovers="exclude"), rows)
    assert found.crossovers == 1
    assert "u7" not in found.units["unit_id"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (ROWS.with_columns(experiment_id=pl.lit("shop-2")), r'no row of "shop-1". Did you mean "shop-2"'),
        (ROWS.with_columns(arm=pl.lit("newest")), r'another arm than the plan. The first: unit "u0", arm "newest"'),
        (ROWS.with_columns(unit_kind=pl.lit("session")), "another unit_kind"),
        (ROWS.with_columns(first_at=pl.lit(None, ROWS.schema["first_at"])), "without unit_id or first_at"),
        (ROWS.drop("arm"), "lack arm"),
    ],
)
def test_exposures_that_cannot_be_used_are_named(rows, says):
    with pytest.raises(DataError, match=says):
        exposed(plan(), rows)


def test_the_sample_ratio():
    """50,000 against 50,600: chi-square 3.579, p 0.0585."""
    assert sample_ratio({"current": 50_000, "new": 50_600}, plan()) == pytest.approx(0.0585, abs=1e-4)
    assert sample_ratio({"current": 50_000, "new": 51_200}, plan()) < 0.001
    uneven = plan(arms=(Arm(name="current", weight=9), Arm(name="new", weight=1)))
    assert sample_ratio({"current": 9000, "new": 1000}, uneven) == 1.0


def test_the_sample_ratio_blocks_one_sound_experiment_in_a_thousand():
    counts = rng(0, "ratio").binomial(10_000, 0.5, 10_000)
    p = np.array([sample_ratio({"current": int(n), "new": 10_000 - int(n)}, plan()) for n in counts])
    # 10 expected of 10,000; the 99% binomial interval is 3 to 19
    assert 3 <= (p < 0.001).sum() <= 19
