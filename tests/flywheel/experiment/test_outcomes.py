from datetime import timedelta

import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.tables import TIME
from headrace.flywheel.experiment.exposures import exposed
from headrace.flywheel.experiment.outcomes import outcomes_of
from headrace.flywheel.experiment.plan import Metric
from tests.flywheel.experiment.example import CLICKS, START, plan

UNITS = exposed(
    plan(),
    pl.DataFrame(
        [
            ("shop-1", "a", "user", "current", START),
            ("shop-1", "b", "user", "new", START),
            ("shop-1", "c", "user", "new", START + timedelta(days=5)),
        ],
        schema={"experiment_id": pl.String, "unit_id": pl.String, "unit_kind": pl.String, "arm": pl.String, "first_at": TIME},
        orient="row",
    ),
)


def table(*rows):
    made = [(unit, START + timedelta(days=days), clicks, 0.0) for unit, days, clicks in rows]
    return pl.DataFrame(
        made, schema={"unit_id": pl.String, "at": TIME, "clicks": pl.Float64, "complaints": pl.Float64}, orient="row"
    )


ROWS = table(
    ("a", -20, 100), ("a", -2, 5), ("a", -1, 3), ("a", 0, 1), ("a", 6.9, 1), ("a", 7, 50), ("z", 1, 9), ("c", 6, 1), ("b", 12, 0)
)


def test_no_outcome_counts_that_was_before_exposure_or_after_the_window():
    found = outcomes_of(plan(), UNITS, ROWS)
    assert dict(found.units.select("unit_id", "clicks").iter_rows()) == {"a": 2.0, "b": 0.0, "c": 1.0}
    assert (found.rows, found.before_exposure, found.after_window, found.not_exposed, found.open_units) == (9, 3, 2, 1, 0)


def test_a_unit_whose_window_is_open_comes_in_later():
    found = outcomes_of(plan(), UNITS, ROWS, as_of=START + timedelta(days=11))
    assert found.units["unit_id"].to_list() == ["a", "b"]
    assert found.open_units == 1


def test_the_covariate_ends_at_the_exposure():
    cuped = plan(primary=(Metric(name="clicks", kind="mean", column="clicks", cuped=True),), covariate_days=14)
    found = outcomes_of(cuped, UNITS, ROWS)
    assert dict(found.units.select("unit_id", "before clicks").iter_rows()) == {"a": 8.0, "b": 0.0, "c": 0.0}
    assert (found.before_exposure, found.covariate) == (1, 2)


def test_without_a_window_all_that_came_after_counts():
    found = outcomes_of(plan(window_days=None), UNITS, ROWS)
    assert found.units["clicks"].sum() == 53.0
    assert found.after_window == 0


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (table(("a", -3, 1), ("b", -1, 2)), "none of 2 outcome rows of exposed units lies after"),
        (ROWS.rename({"clicks": "click"}), r'no column "clicks". Did you mean "click"'),
        (ROWS.with_columns(clicks=pl.lit("x")), "expected numbers"),
        (ROWS.with_columns(clicks=pl.lit(None, pl.Float64)), r'9 rows have no number in "clicks". The first: row 1 \(unit "a"\)'),
        (ROWS.with_columns(clicks=pl.lit(float("nan"))), "no number"),
        (ROWS.with_columns(unit_id=pl.lit(None, pl.String)), "9 rows have no unit_id"),
        (ROWS.with_columns(pl.col("at").dt.replace_time_zone(None)), "with a zone"),
    ],
)
def test_outcomes_that_cannot_be_used_are_named(rows, says):
    with pytest.raises(DataError, match=says):
        outcomes_of(plan(primary=(CLICKS,)), UNITS, rows)


def test_a_denominator_is_not_negative():
    ratio = plan(primary=(Metric(name="ctr", kind="ratio", column="clicks", denominator="views"),))
    with pytest.raises(DataError, match="below 0"):
        outcomes_of(ratio, UNITS, ROWS.with_columns(views=pl.lit(-1.0)))
