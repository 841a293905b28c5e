from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates
from headrace.contracts.seams import PseudoLabels
from headrace.testing.examples import history_of, some_lists, some_requests


def test_an_answer_belongs_to_its_own_request():
    items = np.array([[1, 2, 0], [2, 1, 3]], np.int32)
    candidates = Candidates(items, {"one": np.zeros((2, 3), np.float32)})
    lists = CandidateLists.of(some_requests(2), candidates, history_of([[2], [3, 9]]))
    assert lists.label.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_padding_is_never_an_answer():
    candidates = Candidates(np.array([[0, 1]], np.int32), {"one": np.zeros((1, 2), np.float32)})
    assert CandidateLists.of(some_requests(1), candidates, history_of([[0, 1]])).label.tolist() == [[0, 1]]


def test_taking_rows_keeps_lists_together():
    lists = some_lists()
    some = lists.take(np.array([3, 1]))
    assert len(some) == 2
    assert some.requests.ids.tolist() == lists.requests.ids[[3, 1]].tolist()
    assert some.label.tolist() == lists.label[[3, 1]].tolist()
    assert some.candidates.items.tolist() == lists.candidates.items[[3, 1]].tolist()


def test_rows_of_all_that_is_known_of_a_candidate_stay_together():
    lists = some_lists()
    tasks = {"buy": np.where(lists.label > 0, 1.0, np.nan).astype(np.float32)}
    lists = replace(lists, tasks=tasks, pseudo=PseudoLabels(0.5 * lists.label, lists.label))
    some = lists.take(np.array([3, 1]))
    assert some.pseudo is not None
    assert np.array_equal(some.tasks["buy"], tasks["buy"][[3, 1]], equal_nan=True)
    assert np.array_equal(some.pseudo.label, lists.label[[3, 1]] / 2)
    assert np.array_equal(some.pseudo.weight, lists.label[[3, 1]])


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_a_label_that_is_no_share_is_named(value):
    lists = some_lists()
    label = lists.label.copy()
    label[2, 1] = value
    with pytest.raises(DataError, match=rf"the label of request request-2, candidate 1, is {value:g}: expected"):
        replace(lists, label=label)
    with pytest.raises(DataError, match="the label of buy of request request-2"):
        replace(lists, tasks={"buy": label})


def test_unshown_are_those_of_whom_nothing_is_known():
    lists = some_lists()
    assert not lists.unshown.there.any()
    known = np.arange(lists.label.shape[1]) < 2
    shown = replace(lists, known=np.broadcast_to(known, lists.label.shape))
    assert np.array_equal(shown.unshown.there, lists.candidates.there & ~known)
