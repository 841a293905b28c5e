import json
import math

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.rng import rng
from headrace.evaluate.offpolicy.judging import judge, lower_bound, report, rows
from headrace.evaluate.offpolicy.logged import LoggedSlates
from headrace.evaluate.offpolicy.support import NO_LIMITS
from headrace.evaluate.report import write_json
from tests.evaluate.offpolicy.enumerated import pages

PROBLEM = pages(3, contexts=1)
REWARD = rng(0, "reward").random((4, 3))[PROBLEM.items, np.arange(3)]
TRUTH = float(PROBLEM.target_chance @ REWARD.sum(1))


def log(seed: int, n: int = 1500) -> tuple[LoggedSlates, np.ndarray]:
    draw = rng(seed, "log")
    row = draw.choice(len(PROBLEM.items), n, p=PROBLEM.chance)
    reward = (draw.random((n, 3)) < REWARD[row]).astype(np.float64)
    users = draw.integers(0, n // 2, n).astype(np.int32)
    names = np.full(n, "logger")
    items = (PROBLEM.items[row] + 1).astype(np.int32)
    return LoggedSlates(names, users, items, np.exp(PROBLEM.logged[row]), reward, names), PROBLEM.target[row]


def test_the_logs_own_value_stands_first_and_all_estimates_agree():
    logged, target = log(0)
    found = judge(logged, target)
    assert [one.name for one in found] == ["on-policy", "sn_interaction", "interaction", "joint"]
    assert found[0].value == pytest.approx(logged.reward.sum(1).mean())
    for one in found[1:]:
        assert abs(one.value - TRUTH) < 4 * one.std_error
        assert one.n == len(np.unique(logged.users))
        assert one.rows == 1500


def test_versus_is_the_lead_over_what_was_shown():
    logged, target = log(0)
    alone, lead = judge(logged, target, resamples=200), judge(logged, target, versus=True, resamples=200)
    assert lead[1].value == pytest.approx(alone[1].value - alone[0].value)
    assert judge(logged, logged.log_prob, versus=True)[2].hi == 0.0  # the logger leads itself by nothing at all


def test_the_lower_bound_holds():
    leads = TRUTH - float(PROBLEM.chance @ REWARD.sum(1))
    for seed in range(20):
        logged, target = log(seed, 4000)
        alone = lower_bound(logged, target, most=8.0, reward_max=1.0)
        few = lower_bound(logged.take(np.arange(400)), target[:400], most=8.0, reward_max=1.0, limits=NO_LIMITS)
        assert few.lo < alone.lo < TRUTH
        assert lower_bound(logged, target, most=8.0, reward_max=1.0, versus=True).lo < leads


def test_the_lower_bound_wants_the_true_maximum():
    logged, target = log(0)
    with pytest.raises(ConfigError, match="outside 0 to 0.5"):
        lower_bound(logged, target, most=8.0, reward_max=0.5)


def test_a_misspelt_estimator_is_named():
    logged, target = log(0)
    with pytest.raises(ConfigError, match='Did you mean "joint"'):
        judge(logged, target, names=("jont",))


def test_rows_stand_in_a_report(tmp_path):
    logged, target = log(0)
    found = [
        *judge(logged, target),
        lower_bound(logged, target, most=8.0, reward_max=1.0),
        judge(logged, target, unsupported=0.2)[1],
    ]
    made = rows(found, stage="off-policy", method="challenger", split="logger", metric="clicks a page")
    write_json(tmp_path / "report.json", made, {})
    written = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert written[1]["metric"] == "clicks a page (sn_interaction)"
    assert written[1]["lo"] == found[1].lo
    assert written[4]["hi"] is None
    assert written[5]["value"] is None


def test_the_table_gives_reasons():
    logged, target = log(0)
    text = report([*judge(logged, target)[:2], *judge(logged, target, unsupported=0.2)[1:2]], "clicks")
    lines = text.splitlines()
    assert lines[0] == f"clicks, n = {len(np.unique(logged.users))} users, 1,500 rows"
    assert lines[1].split() == ["estimator", "value", "std", "error", "ESS", "max", "weight", "unsupported"]
    assert lines[2].startswith("on-policy")
    assert "no evidence" in lines[4]
    assert "20.0%" in lines[4]
    assert lines[5].startswith("sn_interaction: 20.0% of the target's mass is on actions the logger never shows")
    assert report([lower_bound(logged, target, most=8.0, reward_max=1.0)], "bound").count("inf]") == 1


def test_unsupported_is_unknown_unless_given():
    assert math.isnan(judge(*log(0))[1].unsupported_mass)
