import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.evaluate.lists import RankedLists, Relevant, gains, hits


def lists(*rows, users=None, sampler=None):
    items = np.array(rows, np.int32)
    return RankedLists(np.arange(len(rows)) if users is None else np.array(users), items, sampler)


def relevant(*rows):
    pairs = [(row, item) for row, items in enumerate(rows) for item in items]
    index, items = np.array(pairs, np.int64).reshape(-1, 2).T
    return Relevant.from_pairs(index, items.astype(np.int32), len(rows))


def test_a_hit_belongs_to_its_own_request():
    found = hits(lists([1, 2, 0], [2, 1, 3]), relevant([2], [3, 1]))
    assert found.tolist() == [[False, True, False], [False, True, True]]


@given(st.lists(st.tuples(st.permutations(range(6)), st.sets(st.integers(1, 8))), min_size=1, max_size=6))
def test_hits_agree_with_looking_each_item_up(rows):
    found = hits(lists(*(items for items, _ in rows)), relevant(*(right for _, right in rows)))
    assert found.tolist() == [[item in right for item in items] for items, right in rows]


def test_large_numbers_do_not_run_into_the_next_request():
    top = np.iinfo(np.int32).max
    assert hits(lists([top], [top]), relevant([], [top])).tolist() == [[False], [True]]


def test_an_item_twice_in_a_list_is_refused_by_row():
    with pytest.raises(DataError, match=r"row 1 \(user 7\) holds item 5 twice, and so do 1 further"):
        lists([1, 2, 3], [5, 2, 5], [4, 4, 1], users=[3, 7, 9])


def test_empty_slots_may_repeat():
    assert lists([0, 4, 0, 0]).depth == 4


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: lists([1, -2]), "row 0 holds item -2"),
        (lambda: RankedLists(np.arange(3), np.zeros((2, 4), np.int32)), r"users are \(3,\)"),
        (lambda: lists([1], sampler=" "), "the sampler has no name"),
        (lambda: relevant([3], [0]), "row 1 holds item 0"),
        (lambda: Relevant(np.array([0, 0, 2]), np.array([4, 4], np.int32)), "row 1 holds item 4 twice"),
        (lambda: Relevant(np.array([0, 1]), np.array([4, 5], np.int32)), "offsets end at 1"),
        (lambda: Relevant(np.array([0, 1]), np.array([4], np.int32), np.array([0.0])), "grade above 0"),
        (lambda: hits(lists([1]), relevant([1], [2])), "1 requests and relevant 2"),
        (lambda: gains(lists([1]), relevant([1])), "there are no grades"),
        (lambda: relevant([9]).restricted(np.ones(4, np.bool_)), "item 9 is outside the 4"),
    ],
)
def test_what_is_refused(make, says):
    with pytest.raises(DataError, match=says):
        make()


def test_pairs_may_come_in_any_order_and_repeat_with_the_highest_grade_kept():
    rows, items = np.array([1, 0, 1, 1]), np.array([5, 2, 3, 5], np.int32)
    made = Relevant.from_pairs(rows, items, 3, np.array([1.0, 2.0, 1.0, 4.0]))
    assert made.counts.tolist() == [1, 2, 0]
    assert made.grades is not None
    assert dict(zip(made.items.tolist(), made.grades.tolist(), strict=True)) == {2: 2.0, 3: 1.0, 5: 4.0}
    assert gains(lists([5, 2], [3, 5], [5, 3]), made).tolist() == [[0, 2], [1, 4], [0, 0]]


def test_gains_do_not_need_sorted_items():
    unsorted = Relevant(np.array([0, 2]), np.array([7, 3], np.int32), np.array([1.0, 2.0]))
    assert gains(lists([3, 7, 1]), unsorted).tolist() == [[2, 1, 0]]


def test_restricting_keeps_the_requests():
    keep = np.array([False, True, False, True])
    made = relevant([1, 2], [2], [3]).restricted(keep)
    assert made.counts.tolist() == [1, 0, 1]
    assert made.items.tolist() == [1, 3]
