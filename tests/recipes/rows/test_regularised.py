"""One fit and its figures: what the arms share, and that blocks make the whole."""

import numpy as np
import pytest

from headrace.contracts.training import TrainConfig
from headrace.evaluate.pointwise import normalized_entropy
from headrace.recipes.lspr import work
from headrace.recipes.rows import regularised
from headrace.recipes.rows.dcnv2 import FlatConfig, FlatDCNv2
from headrace.recipes.rows.regularised import NE, SPARSE, run
from headrace.recipes.rows.table import Table

SETTING = {
    "data": "clicks", "rate": 0.2, "rows": 300, "held": 150, "tested": 300, "blocks": 7, "epochs": 2, "dim": 2, "sparse": 1,
}  # fmt: skip
ERM = {"kind": "erm", "weight_decay": 1.0, "dropout": 0.0}


def test_blocks_make_up_the_whole_and_a_subset_is_measured_against_its_own_rate():
    draw = np.random.default_rng(0)
    label, p, blanks = (draw.random(500) < 0.2).astype(np.float32), draw.uniform(0.05, 0.5, 500), draw.integers(0, 4, 500)
    table = Table(np.zeros((500, 1), np.int64), {"click": label}, blanks)
    found = regularised._figures(table, p, {"sparse": 2, "blocks": 9})
    few = blanks >= 2
    assert found[NE].shape == found[SPARSE].shape == (9,)
    assert found[NE].mean() == pytest.approx(100 * normalized_entropy(label, p))
    assert found[SPARSE].mean() == pytest.approx(100 * normalized_entropy(label[few], p[few]))


def test_the_constant_rate_scores_one_hundred():
    label = (np.arange(100) < 20).astype(np.float32)
    table = Table(np.zeros((100, 1), np.int64), {"click": label}, np.ones(100, np.int64))
    found = regularised._figures(table, np.full(100, 0.2), {"sparse": 1, "blocks": 4})
    assert found[NE].mean() == pytest.approx(100)
    assert found["calibration ratio"] == pytest.approx(1)
    assert found["auc"] == pytest.approx(0.5)


def test_without_noise_lspr_is_the_plain_network():
    """Its draws do not move the plain run's, so a difference of two arms is of the loss alone."""
    plain = run(SETTING, ERM, 3)
    still = run(SETTING, {"kind": "lspr", "weight_decay": 1.0, "alpha": 0.5, "noise": 0.0}, 3)
    assert still[NE] == pytest.approx(plain[NE], rel=1e-4)
    moved = run(SETTING, {"kind": "lspr", "weight_decay": 1.0, "alpha": 0.5, "noise": 1.0}, 3)
    assert np.abs(moved[NE] - plain[NE]).max() > 1e-3


def test_a_run_is_the_same_twice_and_another_with_another_seed():
    first, again, other = (run(SETTING, ERM, seed) for seed in (1, 1, 2))
    assert np.array_equal(first[NE], again[NE])
    assert not np.array_equal(first[NE], other[NE])


def test_test_rows_are_the_same_for_every_seed_and_others_are_not():
    asked = ("clicks", 300, 0.2, 150, 300)
    first, second = (regularised._tables(*asked, seed) for seed in (0, 1))
    assert np.array_equal(first.test.labels["click"], second.test.labels["click"])
    assert np.array_equal(first.test.blanks, second.test.blanks)
    assert not np.array_equal(first.train.labels["click"], second.train.labels["click"])
    assert len(first.valid) == 150


def test_biases_do_not_decay():
    model = FlatDCNv2(FlatConfig(dim=2), (3, 3))
    decayed, kept = regularised._adamw(model, TrainConfig(), 5.0).param_groups
    assert decayed["weight_decay"] == 5.0
    assert kept["weight_decay"] == 0.0
    assert {parameter.dim() for parameter in kept["params"]} == {1}
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))


def test_every_arm_has_as_many_trials_and_all_of_them_tune_weight_decay_and_dropout():
    arms = work("cpu").arms
    assert {len(arm.trials) for arm in arms.values()} == {12}
    for name, arm in arms.items():
        if name != "lightgbm":
            assert len({trial["weight_decay"] for trial in arm.trials}) == 3
            assert len({trial.get("dropout", 0.0) for trial in arm.trials}) > 1
