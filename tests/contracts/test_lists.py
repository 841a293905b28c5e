import numpy as np

from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates
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
