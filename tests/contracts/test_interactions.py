import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.interactions import Interactions
from headrace.testing.examples import interactions_of, some_interactions


@pytest.mark.parametrize(("cut_us", "late"), [(30, 1), (29, 1), (20, 2), (1, 3)])
def test_events_at_or_after_the_cut_are_refused(cut_us, late):
    made = interactions_of([[1, 2], [3]], 4, [[10, 20], [30]])
    with pytest.raises(DataError, match=f"{late} events are at or after the cut"):
        Interactions(made.history, 4, cut_us, made.weights, made.available)
    assert Interactions(made.history, 4, 31, made.weights, made.available).n_users == 3


def test_before_is_the_log_as_it_stood():
    made = interactions_of([[1, 2, 1], [3]], 4, [[10, 20, 20], [30]])
    earlier = made.before(20)
    assert earlier.history.items.tolist() == [1]
    assert earlier.history.offsets.tolist() == [0, 0, 1, 1]
    assert earlier.cut_us == 20
    assert len(earlier.weights) == 1
    assert made.before(10**18).cut_us == made.cut_us


def test_item_counts_cover_the_catalogue():
    made = some_interactions()
    assert made.item_counts().sum() == len(made.history.items)
    assert len(made.item_counts()) == made.n_items
