import numpy as np
import pytest

from headrace.contracts.config import as_dict
from headrace.contracts.rng import rng
from headrace.recipes.character_flywheel import ARMS, METRICS, AbNonInferiority, LoopConfig, features, run
from headrace.recipes.protocol import reproduce
from headrace.testing import check_gate

LARGE = as_dict(LoopConfig(step=3.0, generations=6))


@pytest.fixture(scope="module")
def runs():
    return {arm: [run(LARGE, {"arm": arm}, seed) for seed in range(3)] for arm in ("gated", "ungated", "frozen")}


def mean(runs, arm, metric):
    return np.mean([one[metric][0] for one in runs[arm]])


def test_a_large_step_wins_the_model_and_loses_the_people(runs):
    assert mean(runs, "ungated", "win rate, first") > 0.8
    assert mean(runs, "ungated", "true change, first") < -0.01


def test_the_gates_block_it_and_release_smaller_ones(runs):
    assert mean(runs, "gated", "true change, first") == 0.0
    assert mean(runs, "gated", "releases") >= 1
    assert mean(runs, "gated", "true engagement") > mean(runs, "ungated", "true engagement")


def test_frozen_stays_where_it_began(runs):
    assert mean(runs, "frozen", "releases") == 0
    assert mean(runs, "frozen", "win rate, first") == pytest.approx(0.5, abs=0.03)  # three times 1,000 comparisons of equals


def test_the_same_seed_is_the_same_run():
    small = as_dict(LoopConfig(generations=2, comparisons=200, users=200))
    first, again = (run(small, {"arm": "gated"}, 0) for _ in range(2))
    assert all((first[metric] == again[metric]).all() for metric in METRICS)


def test_the_ab_gate_keeps_the_contract():
    share = {"more": 0.6, "less": 0.4, "live": 0.5}
    columns = {name: (np.arange(4000) < 4000 * value).astype(np.float64) for name, value in share.items()}
    passing, blocking = ({"engages": [columns[name], columns["live"]]} for name in ("more", "less"))
    check_gate(AbNonInferiority(), passing=passing, blocking=blocking)


def test_features_of_a_pair():
    prompts, answers = rng(0).normal(size=(4, 2)), rng(1).normal(size=(4, 3, 5))
    found = features(prompts, answers, squares=True)
    assert found.shape == (4, 3, 5 + 10 + 5)
    assert found[2, 1, 5:7] == pytest.approx(answers[2, 1, 0] * prompts[2])
    assert found[2, 1, -5:] == pytest.approx(answers[2, 1] ** 2)


def test_smoke_runs_every_arm(tmp_path):
    report = reproduce("character_flywheel", "smoke", tmp_path, protocols=["step 1", "step 3"])
    assert {figure.arm for figure in report.arms} == set(ARMS)
    assert len(report.claims) == 5
