from headrace.recipes import marigold, multibalance
from headrace.recipes.balancing import PROTOCOLS
from headrace.recipes.protocol import reproduce


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("marigold", "smoke", tmp_path)
    assert [tested.claim for tested in report.claims] == list(marigold.FURTHER)
    assert {arm.arm for arm in report.arms} == set(marigold.ARMS)
    assert set(report.protocols) == set(PROTOCOLS)


def test_runs_that_both_recipes_have_are_run_once():
    ours, theirs = marigold.work("cpu"), multibalance.work("cpu")
    assert (ours.data, ours.settings, ours.seeds) == (theirs.data, theirs.settings, theirs.seeds)
    common = set(ours.arms) & set(theirs.arms)
    assert common >= {"equal", "famo", "marigold", "mgda", "multibalance"}
    assert all(ours.arms[name] == theirs.arms[name] for name in common)
