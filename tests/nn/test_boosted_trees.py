"""Boosted trees on rows whose rule is known: what is searched for, and that a score is a logit."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.nn.boosted_trees import TreeRows, TreeSettings, boosted, scores, searched

pytest.importorskip("lightgbm")
FIRST = TreeSettings(trees=20, leaves=4, learning_rate=0.2, rows_per_leaf=20)


def drawn(n, seed):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(n, 3)).astype(np.float32)
    p = np.where(rows[:, 0] > 0, 0.3, 0.05)
    return TreeRows(rows, (draw.random(n) < p).astype(np.float32)), p


def log_loss(known, logits):
    return float(np.mean(np.logaddexp(0, logits) - known.labels * logits))


def test_a_score_is_a_logit():
    known, p = drawn(4000, 0)
    found = 1 / (1 + np.exp(-scores(boosted(known, replace(FIRST, trees=60), "pointwise", seed=0), known.rows).astype(float)))
    assert found.mean() == pytest.approx(known.labels.mean(), abs=2e-3)
    assert found[p > 0.1].mean() == pytest.approx(known.labels[p > 0.1].mean(), rel=0.1)
    assert found[p < 0.1].mean() == pytest.approx(known.labels[p < 0.1].mean(), rel=0.25)


def test_soft_labels_are_learned_too():
    known, p = drawn(2000, 0)
    soft = TreeRows(known.rows, p.astype(np.float32))
    found = 1 / (1 + np.exp(-scores(boosted(soft, replace(FIRST, trees=100), "pointwise", seed=0), known.rows).astype(float)))
    assert np.abs(found - p).mean() < 0.02


def test_more_trials_are_never_worse_on_what_chooses_them_and_the_first_is_what_was_asked():
    known, held = drawn(600, 0)[0], drawn(600, 1)[0]
    best = {}
    for trials in (1, 2, 6):
        settings, _ = searched(known, held, FIRST, "pointwise", trials=trials, seed=3)
        best[trials] = log_loss(held, scores(boosted(known, settings, "pointwise", seed=3), held.rows).astype(float))
        if trials == 1:
            assert replace(settings, trees=FIRST.trees) == FIRST
    assert best[6] <= best[2] <= best[1] < log_loss(held, np.full(600, np.log(0.17 / 0.83)))


def test_a_search_is_the_same_twice_and_its_booster_is_of_all_rows():
    known, held = drawn(300, 0)[0], drawn(100, 1)[0]
    first, second = (searched(known, held, FIRST, "pointwise", trials=3, seed=1) for _ in range(2))
    assert first[0] == second[0]
    assert first[1].model_to_string() == second[1].model_to_string()
    whole = boosted(known.joined(held), first[0], "pointwise", seed=1)
    assert first[1].model_to_string() == whole.model_to_string()


def test_an_order_is_searched_for_by_ndcg():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(600, 2)).astype(np.float32)
    labels = (rows[:, 0] == rows[:, 0].reshape(60, 10).max(1).repeat(10)).astype(np.float32)
    known, held = (TreeRows(rows[part], labels[part], np.full(30, 10)) for part in (slice(0, 300), slice(300, 600)))
    settings, made = searched(known, held, FIRST, "listwise", trials=2, seed=0)
    found = scores(made, held.rows).reshape(30, 10).argmax(1)
    assert settings.trees <= 10 * FIRST.trees
    assert (found == labels[300:].reshape(30, 10).argmax(1)).mean() > 0.9
