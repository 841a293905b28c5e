import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.evaluate.lists import Relevant
from headrace.evaluate.slices import category_items, cold_items, cold_users, head_items, standard_slices

COUNTS = np.array([99, 6, 1, 0, 3])  # row 0 is no item, whatever it counts
CATEGORIES = pl.Series([None, ["shoes", "sale"], ["hats"], None, ["shoes"]], dtype=pl.List(pl.String))


def test_cold_users_have_fewer_events_than_asked():
    assert cold_users(np.array([0, 4, 5, 9])).tolist() == [True, True, False, False]


def test_cold_items_were_never_seen():
    assert cold_items(COUNTS).tolist() == [False, False, False, True, False]
    assert cold_items(np.array([0, 0, 2])).tolist() == [False, True, False]


def test_head_is_the_fewest_items_with_half_the_events():
    assert np.flatnonzero(head_items(COUNTS)).tolist() == [1]
    assert np.flatnonzero(head_items(COUNTS, share=0.7)).tolist() == [1, 4]
    assert not head_items(np.zeros(4, np.int64)).any()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any), st.floats(0.1, 0.9))
def test_head_holds_its_share_and_one_item_less_does_not(counts, share):
    counts = np.array([0, *counts])
    head = head_items(counts, share)
    held = counts[head].sum()
    assert held >= share * counts.sum()
    assert held - counts[head].min() < share * counts.sum()
    assert counts[head].min() >= counts[1:][~head[1:]].max(initial=0)


def test_an_item_may_be_in_several_categories():
    assert category_items(CATEGORIES, "shoes").tolist() == [False, True, False, False, True]
    assert category_items(CATEGORIES, "sale").tolist() == [False, True, False, False, False]
    with pytest.raises(DataError, match=r'"shoe" has no item\. Did you mean "shoes"'):
        category_items(CATEGORIES, "shoe")


def test_standard_slices_restrict_what_is_relevant_and_part_it_without_rest():
    relevant = Relevant(np.array([0, 2, 4]), np.array([1, 3, 2, 4], np.int32))
    slices = standard_slices(relevant, np.array([1, 8]), COUNTS, categories=CATEGORIES, names=("hats",))
    assert {name: part.items.tolist() for name, part in slices.items() if isinstance(part, Relevant)} == {
        "cold items": [3],
        "warm items": [1, 2, 4],
        "head items": [1],
        "tail items": [3, 2, 4],
        "category: hats": [2],
    }
    masks = {name: part.tolist() for name, part in slices.items() if not isinstance(part, Relevant)}
    assert masks == {"all": [True, True], "cold users": [True, False], "warm users": [False, True]}


def test_a_category_without_categories_is_refused():
    with pytest.raises(DataError, match="hats are asked for"):
        standard_slices(Relevant(np.array([0]), np.zeros(0, np.int32)), np.zeros(0, np.int64), COUNTS, names=("hats",))
