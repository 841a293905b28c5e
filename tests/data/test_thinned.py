import numpy as np
import pytest
import torch

from headrace.data.sequences import WindowBatches
from headrace.data.thinned import ThinnedWindows, keep_probability
from headrace.testing import check_batches
from headrace.testing.examples import history_of, some_interactions


def test_contract():
    check_batches(ThinnedWindows(some_interactions().history, 0.02, length=4, batch_size=3, seed=0))


def test_golden():
    """Item 1 is 3 of 4 events, item 2 one of them: sqrt(0.12 / 0.75) and sqrt(0.12 / 0.25)."""
    keep = keep_probability(history_of([[1, 1], [1, 2]]), 0.12)
    np.testing.assert_allclose(keep, [0.4, 0.4, 0.4, np.sqrt(0.48)])
    assert keep_probability(history_of([[1, 1], [1, 2]]), 0.5)[-1] == 1.0


def test_off_is_all_events():
    history = some_interactions().history
    thinned = ThinnedWindows(history, 0, length=4, batch_size=3, seed=5).epoch(1)
    for one, other in zip(thinned, WindowBatches(history, length=4, batch_size=3, seed=5).epoch(1), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in ("items", "targets"))


def test_popular_items_stand_less_often_by_their_probability():
    history = history_of([[1, 2, 1, 3] * 25] * 20)  # item 1: half of all
    batches = ThinnedWindows(history, 0.08, length=200, batch_size=50, seed=0)
    counts = np.zeros(4)
    for epoch in range(5):
        for batch in batches.epoch(epoch):
            counts += np.bincount(batch["targets"].numpy().ravel(), minlength=4)
    # 5,000 draws of each item or more: within five standard deviations, 5 · sqrt(0.25 / 5000) = 0.035
    assert counts[1] / 5000 == pytest.approx(0.4, abs=0.035)
    assert counts[2] / 2500 == pytest.approx(np.sqrt(0.08 / 0.25), abs=0.05)
