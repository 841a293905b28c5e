import math

import numpy as np
import pytest
import torch

from headrace.contracts.batch import Field
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Candidates
from headrace.data.rank_inputs import ListBatches, candidate_batch, retrieval_features, user_batch
from headrace.testing import check_batches
from headrace.testing.examples import some_candidates, some_lists, some_requests

SCHEMA = {"history": Field("int64", ("rows", 4))}


def batches_of(lists, width=4):
    return ListBatches(lists, SCHEMA, ["one", "two"], width=width, batch_size=5, seed=0)


def test_contract():
    check_batches(batches_of(some_lists()))


def test_every_choice_is_kept_and_the_others_are_drawn():
    lists = some_lists()
    batches = batches_of(lists)
    for epoch in range(3):
        whole = {name: torch.cat([batch[name] for batch in batches.epoch(epoch)]) for name in ("history", "items", "label")}
        rows = np.flatnonzero(lists.label.sum(1) > 0)
        assert len(whole["label"]) == len(rows)
        assert whole["label"].shape[1] == 4
        assert whole["label"].sum() == lists.label.sum()
        assert ((whole["label"] > 0) <= (whole["items"] > 0)).all()
        chosen = sorted(whole["items"][whole["label"] > 0].tolist())
        assert chosen == sorted(lists.candidates.items[lists.label > 0].tolist())
    firsts = {tuple(sorted(batches.epoch(epoch)[0]["items"].flatten().tolist())) for epoch in range(5)}
    assert len(firsts) == 5


def test_candidates_stay_with_their_features_and_their_request():
    lists = some_lists()
    everything = {
        (tuple(history), int(item)): tuple(features)
        for history, items, row in zip(
            lists.requests.history.last(4).tolist(), lists.candidates.items,
            retrieval_features(lists.candidates, ["one", "two"]).tolist(), strict=True,
        )
        for item, features in zip(items, row, strict=True)
    }  # fmt: skip
    for batch in batches_of(lists).epoch(0):
        for history, items, row in zip(
            batch["history"].tolist(), batch["items"].tolist(), batch["retrieval"].tolist(), strict=True
        ):
            for item, features in zip(items, row, strict=True):
                assert everything[tuple(history), item] == tuple(features)


def test_what_a_retriever_said_by_hand():
    candidates = Candidates(np.array([[7, 8, 9]], np.int32), {"one": np.array([[3.0, np.nan, 1.0]], np.float32)})
    assert retrieval_features(candidates, ["one"])[0].tolist() == [
        [1.0, 1.0, 1.0],
        [0.0, 0.0, -1.0],
        [1.0, pytest.approx(1 / math.log2(3)), -1.0],
    ]


def test_a_requests_features_do_not_hang_on_the_others():
    candidates = some_candidates(some_requests(6))
    together = retrieval_features(candidates, ["one", "two"])
    for row in range(6):
        assert np.array_equal(retrieval_features(candidates.take(np.array([row])), ["one", "two"])[0], together[row])
    assert np.isfinite(together).all()
    assert candidate_batch(candidates, ["one"])["retrieval"].shape == (6, 6, 3)


def test_a_score_moved_and_stretched_says_the_same():
    candidates = some_candidates(some_requests(6), stages=["one"])
    moved = Candidates(candidates.items, {"one": 7 * candidates.scores["one"] + 3})
    # float32 scores of size 30 are known to 2e-6
    assert retrieval_features(moved, ["one"]) == pytest.approx(retrieval_features(candidates, ["one"]), abs=1e-4)


def test_a_missing_feature_is_named():
    with pytest.raises(DataError, match='requests carry no "user.age"'):
        user_batch(some_requests(), {"user.age": Field("int64", ("rows",))})
