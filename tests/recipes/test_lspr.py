import pytest

from headrace.recipes import lspr
from headrace.recipes.protocol import reproduce
from headrace.recipes.rows.regularised import NE, SPARSE

pytest.importorskip("lightgbm")
PROTOCOLS = {lspr.FEW, lspr.MORE, lspr.ALL, lspr.CLICKS, lspr.MANY_CLICKS}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reproduce("lspr", "smoke", tmp_path_factory.mktemp("lspr"))


def test_every_part_runs(report):
    arms = {"erm", "lspr", "scr_logit", "scr_prob", "lightgbm"}
    metrics = {NE, SPARSE, "auc", "calibration ratio", "cpu_seconds"}
    assert {(arm.protocol, arm.arm, arm.metric) for arm in report.arms} == {
        (protocol, arm, metric) for protocol in PROTOCOLS for arm in arms for metric in metrics
    }
    assert [tested.claim for tested in report.claims] == list(lspr.FURTHER)
    assert set(report.further) == PROTOCOLS - {lspr.FEW}, "the lead of LSPR at every size"


def test_arms_differ_and_each_is_a_probability(report):
    value = {arm.arm: arm.value for arm in report.arms if arm.metric == NE and arm.protocol == lspr.FEW}
    assert len(set(value.values())) == 5
    assert all(50 < one < 200 for one in value.values())


def test_every_claim_is_of_an_arm_and_a_protocol_that_are_run():
    work = lspr.work("cpu")
    assert set(work.protocols) == PROTOCOLS
    for claim in (lspr.CLAIM, *lspr.FURTHER):
        assert {claim.better, claim.than} <= set(work.arms)
        assert claim.protocol in PROTOCOLS
        assert claim.metric in work.metrics
        assert claim.less, "normalized entropy is a cost"
