"""What a preference in words does to scores: by hand on a small catalogue, and through a whole cascade."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.cascade.steering import PREFERENCE, Steering
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Candidates, History, Requests

VECTORS = np.array([[0, 0], [1, 0], [1, 0], [0, 1], [0, 2], [0, 0]], np.float32)
"""Items 1 and 2 of one kind, 3 and 4 of another (of any length), 5 without words."""
COMEDY, HORROR = [1, 0], [0, 1]


def requests(*wanted):
    """wanted: of each request, (vector, polarity) pairs."""
    slots = np.zeros((len(wanted), max(map(len, wanted), default=1), 3), np.float32)
    for row, pairs in enumerate(wanted):
        for slot, (vector, polarity) in enumerate(pairs):
            slots[row, slot] = [*vector, polarity]
    n = len(wanted)
    history = History(np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    ids, users = np.array([f"r{row}" for row in range(n)]), np.zeros(n, np.int32)
    return Requests(ids, users, np.zeros(n, np.int64), history, {PREFERENCE: slots})


def candidates(n, scores=(3, 2, 1, 0, -1)):
    return Candidates(np.tile(np.arange(1, 6, dtype=np.int32), (n, 1)), {"rank": np.tile(np.float32(scores), (n, 1))})


def moved(of, weight=1.0):
    found = Steering(VECTORS, weight)(of, candidates(len(of)), "rank")
    assert list(found.scores) == ["rank", PREFERENCE], "the page goes by the last one"
    return found.scores[PREFERENCE] - found.scores["rank"]


def test_standardised_over_the_catalogue_and_scaled_by_the_scores():
    """Cosines with comedy are 1, 1, 0, 0 over the items with words: mean and sd 1/2, z is 1 for 1 and 2, -1 for 3 and 4."""
    spread = np.std([3, 2, 1, 0, -1])
    shift = moved(requests([(COMEDY, 1)], [(COMEDY, -1)], [(COMEDY, 1), (HORROR, -1)]), weight=0.5)
    np.testing.assert_allclose(shift / (0.5 * spread), [[1, 1, 0, 0, 0], [-1, -1, 0, 0, 0], [1, 1, -1, -1, 0]], atol=1e-5)


def test_a_request_without_a_preference_keeps_its_scores():
    none = moved(requests([], [(COMEDY, 1)]))
    assert np.array_equal(none[0], np.zeros(5))
    plain = replace(requests([]), features={})
    found = Steering(VECTORS, 1.0)(plain, candidates(1), "rank")
    assert list(found.scores) == ["rank"]


def test_equal_scores_are_told_apart_by_the_preference_alone():
    found = Steering(VECTORS, 1.0)(requests([(HORROR, 1)]), candidates(1, [7] * 5), "rank").top(PREFERENCE, 2)
    assert sorted(found.items[0].tolist()) == [3, 4]


def test_what_is_no_candidate_stays_unscored():
    some = Candidates(np.array([[3, 1, 0]], np.int32), {"rank": np.array([[2, 1, np.nan]], np.float32)})
    found = Steering(VECTORS, 1.0)(requests([(COMEDY, 1)]), some, "rank")
    assert np.isnan(found.scores[PREFERENCE][0, 2])
    np.testing.assert_allclose(found.scores[PREFERENCE][0, :2], [2, 1.5], atol=1e-5)


def test_words_of_another_encoder_are_refused():
    with pytest.raises(DataError, match="vectors of 2 numbers, items have 3"):
        Steering(np.ones((4, 3), np.float32), 1.0)(requests([(COMEDY, 1)]), candidates(1), "rank")
