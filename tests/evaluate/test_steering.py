"""m@k, the combined hit."""

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.steering import combined_hit

A, B, C = 1, 2, 3


def lists(*rows):
    return RankedLists(np.arange(len(rows)), np.array(rows, np.int32))


def wanting(*items):
    return Relevant.from_pairs(np.arange(len(items)), np.array(items, np.int32), len(items))


def test_golden_values():
    found, avoided = lists([A, B], [A, B]), lists([C, A], [C, A])
    assert combined_hit(found, avoided, wanting(A, B), 2).tolist() == [0, 1]


def test_both_must_hold():
    right = lists([A, B])
    assert combined_hit(right, right, wanting(A), 2).tolist() == [0]  # it did not hear the difference
    assert combined_hit(lists([B, C]), lists([B, C]), wanting(A), 2).tolist() == [0]  # never proposed
    assert combined_hit(right, lists([B, A]), wanting(A), 1).tolist() == [1]  # at depth 1
    assert np.isnan(combined_hit(right, right, Relevant(np.array([0, 0]), np.zeros(0, np.int32)), 2)).all()


def test_short_lists_are_refused():
    with pytest.raises(DataError, match="m@3: the found lists have 2 slots"):
        combined_hit(lists([A, B]), lists([A, B, C]), wanting(A), 3)
