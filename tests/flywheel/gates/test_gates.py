from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.evaluate.offpolicy.estimate import Estimate
from headrace.evaluate.rows import Row
from headrace.flywheel.experiment.analysis import analyse
from headrace.flywheel.experiment.assignment import Arm, assign
from headrace.flywheel.experiment.exposures import exposures_of
from headrace.flywheel.experiment.plan import ExperimentPlan, Metric
from headrace.flywheel.experiment.record import start as begin
from headrace.flywheel.gates.calibration import Calibration
from headrace.flywheel.gates.experiment import AbDecision
from headrace.flywheel.gates.off_policy import OffPolicyLowerBound
from headrace.flywheel.gates.offline import OfflineNonInferiority, SliceGuardrails
from headrace.flywheel.gates.operation import Latency, LatencyBudget, Replayed, Shadow
from headrace.flywheel.gates.style import Style, StyleShift
from headrace.flywheel.gates.win_rate import Agreement, WinRate, WinRateBand
from headrace.testing import check_gate


def row(diff, lo, hi, *, part="all", n=500, method="new", metric="ndcg@10"):
    return Row("page", method, "global temporal", part, metric, 0.1, 0.09, 0.11, n, "old", diff, lo, hi, 0.5)


def ratio(value, lo, hi, n=500):
    return Row("rank", "new", "global temporal", "all", "calibration_ratio", value, lo, hi, n)


def test_a_worse_ranking_is_blocked():
    gate = OfflineNonInferiority(margin=0.005)
    check_gate(gate, passing={"offline": [row(0.0, -0.004, 0.004)]}, blocking={"offline": [row(-0.03, -0.05, -0.01)]})


@pytest.mark.parametrize("rows", [[row(0.0, -0.02, 0.02)], [row(0.1, 0.05, 0.15, n=10)], [row(0.1, 0.05, 0.15, method="other")]])
def test_a_wide_interval_few_users_or_another_generations_row_is_no_evidence(rows):
    assert OfflineNonInferiority().decide("new", "old", {"offline": rows}).status == "no_evidence"


def test_a_gain_for_most_does_not_buy_a_loss_for_new_users():
    good, bad = row(0.01, 0.0, 0.02, part="cold users"), row(-0.1, -0.12, -0.08, part="cold users")
    tail = row(0.0, -0.01, 0.01, part="tail items")
    check_gate(SliceGuardrails(), passing={"offline": [good, tail]}, blocking={"offline": [row(0.05, 0.04, 0.06), bad, tail]})


def test_a_group_too_small_to_judge_is_named():
    rows = [row(0.0, -0.001, 0.001, part="cold users"), row(-0.5, -0.6, -0.4, part="tail items", n=3)]
    decision = SliceGuardrails().decide("new", "old", {"offline": rows})
    assert decision.status == "passed"
    assert "too few users to say: tail items" in decision.reason


def test_predicting_twice_too_much_is_blocked():
    check_gate(Calibration(), passing={"scorer": [ratio(1.02, 0.9, 1.15)]}, blocking={"scorer": [ratio(2.02, 1.9, 2.2)]})


def test_a_ratio_across_the_bands_edge_is_no_evidence():
    assert Calibration().decide("new", "old", {"scorer": [ratio(1.2, 1.0, 1.4)]}).status == "no_evidence"


def test_a_band_upside_down_is_refused():
    with pytest.raises(ConfigError, match="lo below hi"):
        Calibration(lo=1.2, hi=0.9)


def test_winning_too_often_is_blocked():
    fair = {"win_rates": {"point/user": WinRate(300, 0, 200), "pair/user": WinRate(290, 10, 200)}}
    check_gate(WinRateBand(), passing=fair, blocking={"win_rates": {"point/user": WinRate(707, 0, 293)}})


def test_losing_is_blocked_and_few_comparisons_are_no_evidence():
    assert WinRateBand().decide("new", "old", {"win_rates": {"a/b": WinRate(40, 0, 60)}}).status == "blocked"
    assert WinRateBand().decide("new", "old", {"win_rates": {"a/b": WinRate(6, 0, 4)}}).status == "no_evidence"


def test_models_that_disagree_are_blocked():
    # the paper's twelfth version: 70.7% on user traffic, 43.7% on internal
    apart = {"win_rates": {"point/user": WinRate(707, 0, 293), "point/internal": WinRate(437, 0, 563)}}
    close = {"win_rates": {"point/user": WinRate(600, 0, 400), "point/internal": WinRate(560, 0, 440)}}
    check_gate(Agreement(), passing=close, blocking=apart)


def test_rates_that_differ_in_model_and_traffic_are_no_pair():
    assert (
        Agreement().decide("new", "old", {"win_rates": {"a/x": WinRate(9, 0, 1), "b/y": WinRate(1, 0, 9)}}).status
        == "no_evidence"
    )


def test_wilson_of_a_half_is_symmetric():
    lo, hi = WinRate(50, 0, 50).wilson()
    assert lo + hi == pytest.approx(1.0)
    assert (lo, hi) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # Newcombe 1998's formula by hand


def test_a_jump_in_style_is_blocked():
    past = [{"length": value, "emoji": 0.1} for value in (100.0, 104.0, 98.0, 101.0, 102.0)]
    check_gate(
        StyleShift(),
        passing={"style": Style({"length": 103.0, "emoji": 0.1}, past)},
        blocking={"style": Style({"length": 103.0, "emoji": 0.4}, past)},
    )


def test_a_failing_or_strange_candidate_is_blocked():
    check_gate(Shadow(), passing={"shadow": Replayed(1000, 0, 1, 0.5)}, blocking={"shadow": Replayed(1000, 5, 0, 0.5)})
    assert Shadow().decide("new", "old", {"shadow": Replayed(1000, 0, 0, 0.0)}).status == "blocked"


def test_a_slow_candidate_is_blocked():
    check_gate(LatencyBudget(), passing={"latency": Latency(5, 20, 500)}, blocking={"latency": Latency(5, 90, 500)})


def lead(value, lo, hi, reason=""):
    return Estimate("interaction", value, 0.01, lo, hi, 500, 2000, 900.0, 3.0, 0.0, "bernstein", reason)


def test_a_policy_the_log_says_earns_less_is_blocked():
    gate = OffPolicyLowerBound(margin=0.01)
    check_gate(gate, passing={"off_policy": lead(0.02, -0.005, np.inf)}, blocking={"off_policy": lead(-0.1, -0.2, -0.05)})


def test_a_refused_estimate_is_no_evidence_and_says_why():
    decision = OffPolicyLowerBound().decide("new", "old", {"off_policy": lead(np.nan, np.nan, np.nan, "ESS 12, under 100")})
    assert (decision.status, decision.reason) == ("no_evidence", "ESS 12, under 100")


def experiment(lift, units=4000):
    """An A/B test of 2 x units people, whose treated ones engage that much more often."""
    plan = ExperimentPlan(
        experiment="new pages", control="live", units=units, arms=(Arm(name="live"), Arm(name="candidate")),
        primary=(Metric(name="engages", kind="breadth", column="clicks"),),
    )  # fmt: skip
    ids = np.char.add("u", np.arange(2 * units).astype(str))
    treated = assign(plan.allocation, ids) == 1
    start = datetime(2026, 1, 1, tzinfo=UTC)
    draw = np.random.default_rng(0)
    clicks = (draw.random(len(ids)) < np.where(treated, 0.3 + lift, 0.3)).astype(np.float64)
    outcomes = pl.DataFrame({"unit_id": ids, "at": [start + timedelta(hours=1)] * len(ids), "clicks": clicks})
    return analyse(plan, begin(plan, start), exposures_of(plan, ids, start), outcomes, last=True)


def test_a_release_people_like_less_is_blocked():
    check_gate(AbDecision(), passing={"experiment": experiment(0.05)}, blocking={"experiment": experiment(-0.05)})


def test_a_test_that_shows_nothing_holds():
    assert AbDecision().decide("new", "old", {"experiment": experiment(0.0)}).status == "no_evidence"


def test_evidence_of_another_type_is_named():
    with pytest.raises(DataError, match='"latency" is dict, expected Latency'):
        LatencyBudget().decide("new", "old", {"latency": {}})
