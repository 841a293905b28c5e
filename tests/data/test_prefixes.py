from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.data.prefixes import PrefixBatches
from headrace.testing import check_batches
from headrace.testing.examples import history_of, some_interactions

ALL = np.ones(200, np.bool_)


def examples(batches, epoch=0):
    """(history, item, event) of every example, padding cut off."""
    for batch in batches.epoch(epoch):
        for items, item, event in zip(*(batch[name].tolist() for name in ("items", "item", "event")), strict=True):
            length = sum(one > 0 for one in items)
            assert items[length:] == [0] * (len(items) - length)
            yield items[:length], item, event


def test_contract():
    check_batches(PrefixBatches(some_interactions().history, ALL, length=4, batch_size=3, seed=0))


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 6), st.integers(1, 4), st.integers(0, 3))
def test_every_event_but_a_users_first_is_foreseen_from_those_before_it(sizes, length, batch_size, epoch):
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    rows = [list(range(end - size + 1, end + 1)) for size, end in zip(sizes, ends, strict=True)]
    wanted = Counter((tuple(row[max(0, at - length) : at]), row[at]) for row in rows for at in range(1, len(row)))
    found = list(examples(PrefixBatches(history_of(rows), ALL, length=length, batch_size=batch_size, seed=0), epoch))
    assert Counter((tuple(past), item) for past, item, _ in found) == wanted
    assert all(item == event + 1 for _, item, event in found)


def test_a_step_is_foreseen_whole_from_what_stands_before_it():
    history = history_of([[1, 2, 3, 4, 5]], [[10, 10, 20, 20, 30]])
    batches = PrefixBatches(history, ALL, length=9, batch_size=2, seed=0)
    orders = set()
    for epoch in range(30):
        found = list(examples(batches, epoch))
        assert {(frozenset(past), item) for past, item, _ in found} == {
            (frozenset({1, 2}), 3), (frozenset({1, 2}), 4), (frozenset({1, 2, 3, 4}), 5),
        }  # fmt: skip
        assert all(history.items[event] == item for _, item, event in found)
        orders |= {tuple(past) for past, _, _ in found if len(past) == 4}
    assert len(orders) == 4, "order inside a step is drawn"


def test_items_that_cant_be_read_are_as_if_they_had_not_been():
    readable = ALL.copy()
    readable[[2, 5]] = False
    found = list(examples(PrefixBatches(history_of([[1, 2, 3, 4, 5], [2, 6]]), readable, length=2, batch_size=9, seed=0)))
    assert sorted(found) == [([1], 3, 2), ([1, 3], 4, 3)]


def test_like_lengths_share_a_batch():
    draw = np.random.default_rng(0)
    rows = [list(range(1, length + 1)) for length in draw.integers(2, 30, 256)]
    batches = list(PrefixBatches(history_of(rows), ALL, length=20, batch_size=16, seed=0).epoch(0))
    real = sum(int((batch["items"] > 0).sum()) for batch in batches)
    assert real > 0.95 * sum(batch["items"].numel() for batch in batches)


def test_nothing_to_learn_is_no_batch():
    assert list(PrefixBatches(history_of([[], [1], []]), ALL, length=4, batch_size=3, seed=0).epoch(0)) == []
