import numpy as np
import pytest

from headrace.contracts.errors import ArtifactError, DataError
from headrace.encode.semantic_ids.coded import Coded, only, others
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.testing.examples import history_of, interactions_of

IDS = SemanticIds(np.array([[-1, -1], [0, 0], [0, 1], [1, 0], [-1, -1], [2, 0]], np.int32), (3, 2))


def coded():
    return Coded.of(interactions_of([[1, 2, 4], [2, 5]], 6), IDS, "tiger")


def test_what_was_chosen_and_has_codes_is_proposed():
    assert np.flatnonzero(coded().proposed).tolist() == [1, 2, 5]


def test_a_tree_is_kept_for_the_items_it_was_made_for():
    one, allowed = coded(), np.array([True, True, False, True, True, True])
    whole = one.tree()
    assert one.tree() is whole
    assert sorted(whole.items.tolist()) == [1, 2, 5]
    part = one.tree(allowed)
    assert one.tree(allowed.copy()) is part
    assert sorted(part.items.tolist()) == [1, 5]
    allowed[5] = False
    assert sorted(one.tree(allowed).items.tolist()) == [1]
    assert sorted(one.tree(np.ones(9, np.bool_)).items.tolist()) == [1, 2, 5], "a catalogue that has grown"
    assert sorted(one.tree(np.ones(2, np.bool_)).items.tolist()) == [1]


def test_a_past_is_the_newest_items_that_have_codes():
    items, known = coded().past(history_of([[], [4], [1, 4, 2, 3], [9, 0, 5]]), 2)
    assert known.tolist() == [False, False, True, True]
    assert items.tolist() == [[2, 3], [5, 0]]
    assert coded().past(history_of([[]]), 2)[0].shape == (0, 1)


def test_codes_of_another_catalogue_are_refused():
    with pytest.raises(DataError, match="tiger: semantic ids of 6 items for a catalogue of 9"):
        Coded.of(interactions_of([[1]], 9), IDS, "tiger")


def test_it_is_stored_with_its_codes_and_refuses_others():
    arrays = {**coded().arrays(), "weight": np.zeros(1)}
    read = Coded.from_arrays(arrays, "tiger")
    assert read.ids.fingerprint == IDS.fingerprint
    assert read.proposed.tolist() == coded().proposed.tolist()
    assert list(others(arrays)) == ["weight"]
    arrays["coded.codes"] = arrays["coded.codes"][::-1].copy()
    with pytest.raises(ArtifactError, match="tiger: it was trained on codes .* is stored with codes"):
        Coded.from_arrays(arrays, "tiger")


def test_codes_of_some_items_alone():
    kept = only(IDS, np.array([False, True, False, True, True, True]))
    assert np.flatnonzero(kept.there).tolist() == [1, 3, 5]
    assert only(IDS, np.ones(6, np.bool_)) is IDS
