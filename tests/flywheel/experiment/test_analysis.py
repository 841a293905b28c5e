import math
from datetime import timedelta

import polars as pl
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.flywheel.experiment.analysis import analyse
from headrace.flywheel.experiment.assignment import Arm
from headrace.flywheel.experiment.plan import Metric
from headrace.flywheel.experiment.printing import as_dict, text
from headrace.flywheel.experiment.record import start, with_look
from tests.flywheel.experiment.example import CLICKS, COMPLAINTS, START, logs, plan

CUPED = Metric(name="clicks", kind="mean", column="clicks", cuped=True)


def read(of, *, record=None, last=False, as_of=None, **effect):
    return analyse(of, record or start(of, START), *logs(of, **effect), last=last, as_of=as_of)


def test_an_effect_ships_and_says_why():
    found = read(plan(), lift=0.3)
    row = found.results[0]
    assert found.verdict("new") == "ship"
    assert row.lo < row.diff < row.hi
    assert row.diff == pytest.approx(1.4 * 0.3, abs=0.25)  # seven days at 0.2 clicks; four standard errors
    assert [check.status for check in found.checks("new")] == ["passed"] * 3
    assert found.decision("new").promotes


def test_nothing_holds():
    found = read(plan())
    assert found.verdict("new") == "hold"
    assert found.decision("new").status == "no_evidence"


def test_harm_stops_whatever_the_gain():
    found = read(plan(), lift=0.3, harm=0.1)
    guardrail = found.results[1]
    assert found.verdict("new") == "stop"
    assert guardrail.standing == "inferior"
    assert found.decision("new").status == "blocked"
    check = found.checks("new")[2]
    assert (check.status, check.threshold) == ("blocked", -0.05)
    assert check.observed == -guardrail.hi  # complaints: more is worse, so the worst case is the upper end


def test_a_lost_log_makes_it_invalid():
    exposures, outcomes = logs(plan(), lift=0.3)
    lost = exposures.filter(~((pl.col("arm") == "new") & (pl.col("unit_id").str.contains("[37]$"))))
    found = analyse(plan(units=700), start(plan(units=700), START), lost, outcomes)
    assert found.verdict("new") == "invalid"
    assert found.decision("new").status == "blocked"
    assert found.decision("new").observed < 0.001
    assert "not what they should be" in text(found)


def test_a_changed_plan_is_refused():
    with pytest.raises(ConfigError, match=r"alpha was 0.05, is 0.2"):
        read(plan(alpha=0.2), record=start(plan(), START))


def test_before_a_fixed_horizon_ends_nothing_is_said():
    found = read(plan(units=5000), lift=1.0)
    assert found.verdict("new") == "hold"
    assert found.look is None
    assert math.isinf(found.results[0].hi)
    assert "no interval yet" in text(found)
    ended = read(plan(units=5000), lift=1.0, last=True)
    assert ended.verdict("new") == "ship"
    assert ended.look is not None


def test_a_fixed_horizon_is_looked_at_once():
    of = plan()
    record = start(of, START)
    first = read(of, record=record)
    record = with_look(record, first.look)
    assert read(of, record=record).results == first.results  # the same units are the same look
    with pytest.raises(ConfigError, match="Another would be one more chance to be wrong"):
        read(of, record=record, units=2400)


def test_a_group_sequential_look_knows_of_those_before():
    of = plan(design="group_sequential", looks=4, units=1000)
    record = start(of, START)
    early = read(of, record=record, as_of=START + timedelta(days=11))
    assert early.results[0].p > read(plan(units=100), as_of=START + timedelta(days=11)).results[0].p
    alone = read(of, record=record).results[0]
    after = read(of, record=with_look(record, early.look)).results[0]
    assert after.diff == alone.diff
    assert after.hi > alone.hi  # what the first look spent is gone
    with pytest.raises(ConfigError, match="at the look before"):
        read(of, record=with_look(record, read(of, record=record).look), as_of=START + timedelta(days=12))


def test_a_confidence_sequence_reads_at_any_time():
    of = plan(design="confidence_sequence", burn_in=200, units=1000)
    record = start(of, START)
    widths = []
    for days in (9, 12, 20):
        found = read(of, record=record, as_of=START + timedelta(days=days), lift=0.5)
        record = with_look(record, found.look)
        widths.append(found.results[0].hi - found.results[0].lo)
    assert widths == sorted(widths, reverse=True)
    assert found.verdict("new") == "ship"


def test_cuped_narrows_and_breadth_and_depth_are_what_they_say():
    metrics = (
        CUPED, Metric(name="plain", kind="mean", column="clicks"), Metric(name="breadth", kind="breadth", column="clicks"),
        Metric(name="depth", kind="depth", column="clicks"),
        Metric(name="ctr", kind="ratio", column="clicks", denominator="views"),
    )  # fmt: skip
    of = plan(primary=metrics, covariate_days=7, guardrails=())
    found = read(of)
    by_name = {row.metric.name: row for row in found.results}
    assert by_name["clicks"].hi - by_name["clicks"].lo < 0.95 * (by_name["plain"].hi - by_name["plain"].lo)
    assert by_name["breadth"].control * by_name["depth"].control == pytest.approx(by_name["plain"].control)
    exposures, outcomes = logs(of)
    units = exposures.filter(pl.col("arm") == "new").join(outcomes, on="unit_id")
    inside = units.filter(pl.col("at") >= pl.col("first_at"), pl.col("at") < pl.col("first_at") + timedelta(days=7))
    assert by_name["ctr"].treatment == pytest.approx(float(inside["clicks"].sum()) / float(inside["views"].sum()))


def test_holm_is_taken_over_primaries_and_arms():
    arms = (Arm(name="current"), Arm(name="new"), Arm(name="other"))
    views = Metric(name="views", kind="mean", column="views")
    found = read(plan(arms=arms, primary=(CLICKS, views), units=600))
    raw = sorted(row.p for row in found.results if row.p_holm is not None)
    adjusted = sorted(row.p_holm for row in found.results if row.p_holm is not None)
    assert len(raw) == 4
    assert adjusted[0] == pytest.approx(min(1.0, 4 * raw[0]))
    assert {row.p_holm for row in found.results if row.metric is COMPLAINTS or row.metric.name == "complaints"} == {None}
    assert set(found.rules) == {"new", "other"}


def test_what_was_left_out_is_told():
    exposures, outcomes = logs(plan())
    found = analyse(plan(), start(plan(), START + timedelta(days=2)), exposures, outcomes, as_of=START + timedelta(days=14))
    said = "\n".join(found.notes)
    for words in ("before the plan was sealed", "window still open", "before their unit's exposure", "after their unit's window"):
        assert words in said


def test_too_few_units_are_named():
    of = plan()
    exposures, outcomes = logs(of, 300)
    with pytest.raises(DataError, match=r'arm "current" has 0 units to analyse of \d+ exposed'):
        analyse(of, start(of, START), exposures, outcomes, as_of=START + timedelta(days=1))


def test_a_metric_that_does_not_vary_proves_nothing():
    of = plan()
    exposures, outcomes = logs(of, lift=0.3)
    found = analyse(of, start(of, START), exposures, outcomes.with_columns(complaints=pl.lit(0)))
    assert found.results[1].standing == "unclear"
    assert found.verdict("new") == "hold"


def test_the_table_and_the_json_say_the_same():
    found = read(plan(primary=(CUPED,), covariate_days=7), lift=0.3)
    printed, plain = text(found), as_dict(found)
    row = plain["arms"]["new"]["metrics"][0]
    for words in (
        "shop-1, fixed horizon",
        "clicks (CUPED",
        f"{row['diff']:+.3g} [{row['lo']:+.3g}, {row['hi']:+.3g}]",
        "new: ship",
    ):
        assert words in printed
    assert plain["arms"]["new"]["decision"] == "ship"
