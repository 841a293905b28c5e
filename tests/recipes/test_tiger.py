import numpy as np
import pytest

from headrace.contracts.requests import Candidates
from headrace.data.holdouts import LeaveLast
from headrace.data.log import Log
from headrace.data.ring import write_ring
from headrace.recipes import tiger
from headrace.recipes.protocol import reproduce


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reproduce("tiger", "smoke", tmp_path_factory.mktemp("tiger"))


def test_every_part_runs(report):
    arms = {*tiger.BASELINES, "one_negative", "softmax", "tiger"}
    assert {(arm.arm, arm.metric) for arm in report.arms} == {(arm, metric) for arm in arms for metric in tiger.METRICS}
    assert [tested.claim for tested in report.claims] == list(tiger.FURTHER)
    assert report.claims[1].verdict == "met"
    value = {(arm.arm, arm.metric): arm.value for arm in report.arms}
    assert 0 < value["tiger", "invalid@10, no tree"] < 1
    assert value["markov", "ndcg@10"] > value["markov, shuffled", "ndcg@10"] > value["markov, reversed", "ndcg@10"]


def test_equal_flops_buy_unlike_numbers_of_epochs(report):
    epochs = {arm.arm: arm.settings["train"]["epochs"] for arm in report.arms if arm.arm in ("one_negative", "softmax", "tiger")}
    assert epochs["one_negative"] >= epochs["softmax"] > epochs["tiger"] >= 1


def test_what_may_not_be_given_is_invalid(tmp_path):
    write_ring(tmp_path, users=30, steps=6, items=12)
    held = LeaveLast().of(Log.from_tables(tmp_path))
    requests = held.test()[0].take(np.arange(2))
    train = held.train()
    trained_on = np.flatnonzero(train.item_counts())
    seen = int(requests.history.take(np.array([0])).items[0])
    new = [int(item) for item in trained_on if item not in requests.history.items][:1]
    items = np.array([[seen, 0, *new], [0, 0, 0]], np.int32)
    right = tiger._right(Candidates(items, {}), held, requests)
    assert right.tolist() == [[False, False, True], [False, False, False]]
