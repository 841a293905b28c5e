import pytest

from headrace.recipes import multibalance
from headrace.recipes.balancing import CENSUS, PROTOCOLS, WORLD
from headrace.recipes.logs.exposure import TASKS as WORLD_TASKS
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report
from headrace.recipes.rows.census import TASKS as CENSUS_TASKS


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reproduce("multibalance", "smoke", tmp_path_factory.mktemp("multibalance"))


def test_smoke_reports_every_claim(report, tmp_path):
    assert [tested.claim for tested in report.claims] == list(multibalance.FURTHER)
    assert read_report(report.write(tmp_path)) == report


def test_a_protocol_has_figures_of_its_own_tasks(report):
    arms = {"fixed", *multibalance.ARMS}
    for protocol, tasks in {CENSUS: CENSUS_TASKS, WORLD: WORLD_TASKS}.items():
        found = {(arm.arm, arm.metric) for arm in report.arms if arm.protocol == protocol}
        metrics = {"mean_ne", "worst_ne", "mean_auc", *(f"{kind}_{task}" for kind in ("ne", "auc") for task in tasks)}
        assert found == {(arm, metric) for arm in arms for metric in metrics}
    assert set(report.protocols) == set(PROTOCOLS)


def test_fixed_weights_cost_ten_trials_and_each_other_arm_one():
    arms = multibalance.work("cpu").arms
    kept = set(multibalance.ARMS) - set(multibalance.NOT_IN_HALF_AN_HOUR)
    assert {name: len(arm.trials) for name, arm in arms.items()} == {**dict.fromkeys(kept, 1), "fixed": 10}
    assert multibalance.work("cpu").seeds >= 5


def test_claims_are_of_arms_and_protocols_that_are_run():
    arms = multibalance.work("cpu").arms
    for claim in (multibalance.CLAIM, *multibalance.FURTHER):
        assert {claim.better, claim.than} <= set(arms)
        assert claim.protocol in PROTOCOLS
        assert claim.less
