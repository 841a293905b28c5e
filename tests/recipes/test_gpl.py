import numpy as np
import pytest

from headrace.contracts.config import parse
from headrace.contracts.requests import History
from headrace.recipes import gpl
from headrace.recipes.logs.exposure import ExposureConfig, lived
from headrace.recipes.logs.foreseen import foreseen
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report
from headrace.world.settings import DAY_US

SETTING = next(iter(gpl.work("smoke").settings.values()))


@pytest.fixture(scope="module")
def log():
    return lived(parse(ExposureConfig, SETTING["log"], where="test"), 0)


def written(log):
    return foreseen(log, SETTING["codes"], SETTING["writer"], 4, SETTING["days"], 0)


def test_smoke_reports_every_arm_and_claim(tmp_path):
    report = reproduce("gpl", "smoke", tmp_path)
    assert {(arm.arm, arm.metric) for arm in report.arms} == {(arm, metric) for arm in gpl.ARMS for metric in gpl.METRICS}
    assert [tested.claim for tested in report.claims] == list(gpl.FURTHER)
    kept = {arm.arm: set(arm.by_seed) for arm in report.arms if arm.metric == "weight kept"}
    assert kept.pop("exposed only") == {0.0}
    assert set().union(*kept.values()) <= set(SETTING["weights"])
    values = {arm.arm: arm.value for arm in report.arms if arm.metric == "CR, unexposed"}
    assert len(set(values.values())) == len(values), "no two arms are the same"
    assert read_report(report.write(tmp_path)) == report


def test_anchors_know_nothing_of_what_came_after_their_days_began(log):
    """Other events from the second stretch's start on leave its anchors as they are."""
    past = log.world.past
    late = past.at_us >= log.interactions.cut_us + SETTING["days"] * DAY_US
    assert late.any()
    items = np.where(late, 1 + past.items % 300, past.items).astype(np.int32)
    before = written(log)
    log.world.past = History(past.offsets, items, past.at_us)
    try:
        after = written(log)
    finally:
        log.world.past = past
    assert len(before.stretches) == 2
    for one, other in zip(before.stretches, after.stretches, strict=True):
        assert np.array_equal(one.codes, other.codes)
    assert not np.array_equal(before.stretches[0].codes, before.stretches[1].codes), "they are written anew"


def test_anchors_are_older_than_what_they_label(log):
    for number, anchors in enumerate(written(log).stretches):
        assert anchors.as_of_us < log.interactions.cut_us + number * SETTING["days"] * DAY_US


def test_ukdsl_labels_all_that_was_considered(log):
    lists = gpl._labelled(SETTING, gpl.ARMS["ukdsl"], log, 0)
    assert lists.pseudo is not None
    assert lists.known is not None
    full = lists.pseudo.weight > 0
    assert (full.sum(1) == 36).all()
    assert (lists.known.sum(1) == 4).all()
    more = gpl._labelled({**SETTING, "kept": 46}, gpl.ARMS["ukdsl"], log, 0)
    assert more.pseudo is not None
    weight = np.sort(more.pseudo.weight, axis=1)[:, ::-1]
    assert weight[:, :36] == pytest.approx(weight[:, :1] * np.ones(36))
    assert weight[:, 36:46] == pytest.approx(weight[:, :1] / 4 * np.ones(10))


def test_trials_are_chosen_by_random_pages_alone(log, monkeypatch):
    """Whatever is true elsewhere, pages in favour of a trial choose it."""
    asked = []

    def value(scorer, lists):
        asked.append(lists.requests.ids.tolist())
        return {0.1: 1.0, 1.0: 2.0}[scorer]

    monkeypatch.setattr(gpl, "student", lambda settings, log, lists, seed: settings["pseudo_weight"])
    monkeypatch.setattr(gpl, "value_of_ranker", value)
    monkeypatch.setattr(gpl, "_figures", lambda scorer, log: {metric: float(scorer) for metric in gpl.METRICS})
    found = gpl.run(SETTING, gpl.ARMS["unshown as negatives"], 0)
    assert found[gpl.HR] == found["weight kept"] == 1.0
    assert asked == [log.random_pages.requests.ids.tolist()] * 2
