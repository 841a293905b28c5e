from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.config import as_dict, parse
from headrace.recipes import lr_law
from headrace.recipes.lr_law import LawConfig, language, loss_of, run, sweep
from headrace.recipes.protocol import reproduce

SMALL = LawConfig(lengths=(256, 512), target=1_024, rates=(32e-3, 64e-3, 128e-3), words=32, length=16, rows=8, dim=8, held_out=64)


def test_the_language_has_more_to_it_than_counts():
    said = language(SMALL, 400, 0, "training")
    assert said.shape == (400, 17)
    assert (said.min(), said.max()) == (1, 32)
    assert np.array_equal(said, language(SMALL, 400, 0, "training"))
    assert not np.array_equal(said, language(SMALL, 400, 1, "training"))
    pairs = np.bincount(said[:, :-1].ravel() * 33 + said[:, 1:].ravel(), minlength=33 * 33).reshape(33, 33)[1:, 1:]
    alone, following = pairs.sum(1) / pairs.sum(), pairs / pairs.sum(1, keepdims=True)
    entropy = lambda p: -(p * np.log(np.maximum(p, 1e-12))).sum(-1)  # noqa: E731
    assert entropy(alone) - (alone * entropy(following)).sum() > 0.3, "nats that the word before tells"


def test_training_longer_at_a_sound_rate_helps_and_a_wild_one_diverges_or_loses():
    short, long, wild = loss_of(SMALL, 256, 0.03, 0), loss_of(SMALL, 2_048, 0.03, 0), loss_of(SMALL, 256, 50.0, 0)
    assert long < short < np.log(32) + 0.2 < wild


def test_an_arm_runs_at_its_own_rate(monkeypatch):
    """On losses with a known law, rate* = 0.064 (256 / D)^0.5, the arms' figures are known."""
    sweep.cache_clear()
    best = lambda length: 0.064 * (256 / length) ** 0.5  # noqa: E731
    monkeypatch.setattr(lr_law, "loss_of", lambda settings, length, rate, seed: 2 + 0.1 * np.log(rate / best(length)) ** 2)
    given = as_dict(SMALL)
    found = {arm: {name: float(value[0]) for name, value in run(given, {"arm": arm}, 0).items()} for arm in lr_law.ARMS}
    sweep.cache_clear()
    law = {"loss": 2.0, "regret": found["law"]["regret"], "beta": 0.5, "rate": 0.032, "steps_off": 0.0}
    assert found["law"] == pytest.approx(law, abs=1e-9)
    assert found["shortest"]["steps_off"] == pytest.approx(1.0), "0.064 is a factor 2 from 0.032"
    assert (found["shortest"]["rate"], found["longest"]["rate"]) == pytest.approx((0.064, best(512)))
    assert found["rule_of_thumb"]["rate"] == pytest.approx(0.064 * 0.25**0.32)
    assert (found["oracle"]["regret"], found["oracle"]["rate"]) == pytest.approx((0.0, 0.032))
    assert found["shortest"]["loss"] > found["longest"]["loss"] > found["law"]["loss"]


def test_the_grid_is_widened_until_its_edges_are_worse(monkeypatch):
    sweep.cache_clear()
    monkeypatch.setattr(lr_law, "loss_of", lambda settings, length, rate, seed: np.log(rate / 0.9) ** 2)
    rates = sweep(replace(SMALL, rates=(0.032, 0.064, 0.128)), 0).rates
    sweep.cache_clear()
    assert rates[0] == 0.032
    assert rates[-2] == pytest.approx(1.024), "the next to the last is the best"


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("lr_law", "smoke", tmp_path)
    assert [one.claim.metric for one in report.claims] == ["beta", "regret", "steps_off"]
    by_arm = {(arm.arm, arm.metric): arm.value for arm in report.arms}
    assert by_arm["oracle", "regret"] == by_arm["shortest", "beta"] == 0.0
    assert parse(LawConfig, as_dict(LawConfig()), where="test").batch == 1_024
