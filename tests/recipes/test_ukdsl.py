from typing import Any

import numpy as np
import pytest

from headrace.contracts.config import parse
from headrace.recipes import ukdsl
from headrace.recipes.logs.exposure import ExposureConfig
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report


def test_smoke_reports_every_arm_and_claim(tmp_path):
    report = reproduce("ukdsl", "smoke", tmp_path)
    assert {(arm.arm, arm.metric) for arm in report.arms} == {(arm, metric) for arm in ukdsl.ARMS for metric in ukdsl.METRICS}
    assert [tested.claim for tested in report.claims] == list(ukdsl.FURTHER)
    value = {(arm.arm, arm.metric): arm.value for arm in report.arms}
    assert value["ranker", "recall of the ranker's 4 in 40"] == 1
    assert value["joint", "CR, pool"] != value["joint_by_population", "CR, pool"] != value["own_head", "CR, pool"]
    assert read_report(report.write(tmp_path)) == report


def test_uniform_exposure_is_of_as_many_items_and_drawn_of_the_truth():
    work = ukdsl.work("smoke")
    setting = next(iter(work.settings.values()))
    log = ukdsl._world(log_settings(setting), 0)
    drawn = ukdsl._uniformly_shown(log, 4, log.considered)
    places = np.argmax(drawn.candidates.items[:, :, None] == log.lists.candidates.items[:, None, :], axis=2)
    assert np.take_along_axis(log.considered, places, 1).all()
    assert drawn.label.shape == log.impressions.label.shape
    assert drawn.known is None
    assert not np.array_equal(drawn.candidates.items, log.impressions.candidates.items)
    chance = log.world.truth.chances(drawn.requests.users, drawn.candidates.items, drawn.requests.at_us).click
    assert drawn.label.sum() == pytest.approx(chance.sum(), abs=5 * np.sqrt(chance.sum()))


def test_the_shown_stand_among_the_considered_and_rows_weigh_alike(monkeypatch):
    """λ is the ratio of rows, and all of the unshown are read."""
    seen: dict[str, Any] = {}

    def kept(settings, log, lists, seed):
        seen.update(settings, known=lists.known.sum(1), width=lists.label.shape[1], weight=lists.pseudo.weight)

    monkeypatch.setattr(ukdsl, "student", kept)
    setting = next(iter(ukdsl.work("smoke").settings.values()))
    log = ukdsl._world(log_settings(setting), 0)
    ukdsl._student("joint", log, ukdsl._teacher(log_settings(setting), tuple(setting["train"].items()), 0), setting["train"], 0)
    assert (seen["width"], seen["unshown"], seen["pseudo_weight"]) == (40, 36, 9.0)
    assert (seen["known"] == 4).all()
    assert ((seen["weight"] > 0).sum(1) == 36).all()


def log_settings(setting):
    return parse(ExposureConfig, setting["log"], where="test")
