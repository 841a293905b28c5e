import math

import numpy as np
import pytest

from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, History, Requests
from headrace.evaluate import pointwise
from headrace.recipes.logs.one_liked import AUC, MRR, NDCG_5, NDCG_10, by_user, figures_of_lists


def lists_of(label):
    rows = len(label)
    history = History(np.zeros(rows + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    requests = Requests(np.arange(rows).astype(np.str_), np.ones(rows, np.int32), np.ones(rows, np.int64), history)
    items = np.arange(1, label.size + 1).reshape(label.shape).astype(np.int32)
    return CandidateLists(requests, Candidates(items, {}), label.astype(np.float32))


def test_figures_of_a_third_place_and_of_ties():
    label = np.array([[0, 0, 1, 0, 0], [1, 0, 0, 0, 0]])
    found = figures_of_lists(np.array([[0.9, 0.8, 0.7, 0.6, 0.5], [0.0] * 5], np.float32), lists_of(label))
    assert found[AUC] == pytest.approx([0.5, 0.5])
    assert found[MRR] == pytest.approx([1 / 3, 1 / 3])
    assert found[NDCG_10] == pytest.approx([1 / math.log2(4)] * 2)
    assert found[NDCG_5] == pytest.approx(found[NDCG_10])


def test_an_eleventh_place_is_behind_the_tenth():
    scores = -np.arange(12, dtype=np.float32)[None]
    found = figures_of_lists(scores, lists_of(np.eye(12)[10:11]))
    assert found[NDCG_5][0] == found[NDCG_10][0] == 0
    assert found[MRR] == pytest.approx(1 / 11)
    assert figures_of_lists(scores, lists_of(np.eye(12)[9:10]))[NDCG_10] == pytest.approx(1 / math.log2(11))


def test_each_list_is_an_auc_of_its_own():
    draw = np.random.default_rng(0)
    scores, label = draw.integers(0, 4, (6, 8)).astype(np.float32), np.eye(8)[draw.integers(0, 8, 6)]
    found = figures_of_lists(scores, lists_of(label))[AUC]
    assert found == pytest.approx([pointwise.auc(one, of) for one, of in zip(label, scores, strict=True)])


def test_a_users_lists_count_alike():
    assert by_user(np.array([1.0, 0.0, 0.5]), np.array([7, 3, 7])) == pytest.approx([0.0, 0.75])
