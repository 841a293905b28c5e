from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.data.sequences import WindowBatches
from headrace.testing import check_batches
from headrace.testing.examples import history_of, some_interactions


def windows(batches, epoch):
    """(items, targets) of every window, padding cut off."""
    for batch in batches.epoch(epoch):
        for items, targets in zip(batch["items"].tolist(), batch["targets"].tolist(), strict=True):
            length = sum(target > 0 for target in targets)
            assert items[length:] == targets[length:] == [0] * (len(items) - length)
            yield items[:length], targets[:length]


def test_contract():
    check_batches(WindowBatches(some_interactions().history, length=4, batch_size=3, seed=0))


@given(st.lists(st.integers(0, 13), max_size=8), st.integers(2, 6), st.integers(1, 4), st.integers(0, 3))
def test_every_transition_is_one_target_an_epoch(lengths, length, batch_size, epoch):
    # each event its own item, so that a transition is a pair of numbers that no other user has
    ends = np.cumsum(lengths, dtype=np.int64)
    rows = [list(range(end - size + 1, end + 1)) for size, end in zip(lengths, ends.tolist(), strict=True)]
    wanted = Counter(pair for row in rows for pair in pairwise(row))
    batches = WindowBatches(history_of(rows), length=length, batch_size=batch_size, seed=0)
    found = Counter(pair for items, targets in windows(batches, epoch) for pair in zip(items, targets, strict=True))
    assert found == wanted
    for items, targets in windows(batches, epoch):
        assert 0 < len(items) <= length
        assert items[1:] == targets[:-1], "a target is the next position's input"


def test_boundaries_move_between_epochs():
    batches = WindowBatches(history_of([list(range(1, 41))]), length=5, batch_size=100, seed=0)
    starts = {min(items[0] for items, _ in windows(batches, epoch) if items[0] > 1) for epoch in range(20)}
    assert len(starts) == 5


def test_ties_are_drawn_anew_each_epoch_and_steps_stay_in_order():
    history = history_of([[1, 2, 3, 4, 5, 6]], [[10, 10, 10, 20, 20, 20]])
    batches = WindowBatches(history, length=9, batch_size=1, seed=0)
    orders = set()
    for epoch in range(60):
        ((items, targets),) = windows(batches, epoch)
        order = [*items, targets[-1]]
        assert set(order[:3]) == {1, 2, 3}
        orders.add(tuple(order))
    assert len(orders) > 20, "of 36"


def test_like_lengths_share_a_batch():
    draw = np.random.default_rng(0)
    rows = [list(range(1, length + 1)) for length in draw.integers(2, 30, 256)]
    batches = list(WindowBatches(history_of(rows), length=50, batch_size=16, seed=0).epoch(0))
    real = sum(int((batch["targets"] > 0).sum()) for batch in batches)
    assert real > 0.9 * sum(batch["targets"].numel() for batch in batches)


def test_nothing_to_learn_is_no_batch():
    assert list(WindowBatches(history_of([[], [1], []]), length=4, batch_size=3, seed=0).epoch(0)) == []
