import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from headrace.contracts.batch import Field, check_batch
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Candidates
from headrace.contracts.seams import PseudoLabels
from headrace.data.rank_inputs import AGES, ListBatches, candidate_batch, list_schema, pairs_in, retrieval_features, user_batch
from headrace.testing import check_batches
from headrace.testing.examples import HOUR_US, history_of, some_candidates, some_lists, some_requests

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


def test_whole_lists_are_all_of_them_without_a_draw():
    """What is no choice counts where a score is to be a probability: also in a list of nothing else."""
    lists = some_lists()
    batches = ListBatches(lists, SCHEMA, ["one", "two"], width=2, batch_size=5, seed=0, whole=True)
    check_batches(batches)
    seen = torch.cat([batch["items"] for batch in batches.epoch(0)])
    assert seen.shape == lists.candidates.items.shape
    assert sorted(map(sorted, seen.tolist())) == sorted(map(sorted, lists.candidates.items.tolist()))


def test_what_candidates_carry_stays_with_them():
    lists = some_lists()
    lists = replace(lists, candidates=replace(lists.candidates, features={"pair.twice": 2 * lists.candidates.items}))
    batches = ListBatches(lists, SCHEMA, ["one", "two"], pairs=["pair.twice"], width=4, batch_size=5, seed=0)
    for batch in batches.epoch(0):
        assert batch["pair.twice"].equal(2 * batch["items"])
        assert batch["pair.twice"].dtype == torch.int64
    assert pairs_in(list_schema(2, ["pair.twice"])) == ["pair.twice"]
    check_batch(candidate_batch(lists.candidates, ["one", "two"], ["pair.twice"]), list_schema(2, ["pair.twice"]))
    with pytest.raises(DataError, match='candidates carry no "pair.thrice".*They carry: pair.twice'):
        candidate_batch(lists.candidates, ["one"], ["pair.thrice"])


def test_a_missing_feature_is_named():
    with pytest.raises(DataError, match='requests carry no "user.age"'):
        user_batch(some_requests(), {"user.age": Field("int64", ("rows",))})


@pytest.mark.parametrize("whole", [True, False])
def test_candidates_without_a_known_label_are_read_beside_and_not_learned_from(whole):
    """Their scores have a say in what is said of the others; they themselves are no candidates of a batch."""
    lists = some_lists()
    known = lists.candidates.there & ((np.arange(lists.label.shape[1]) % 2 == 0) | (lists.label > 0))
    shown = replace(lists, known=known)
    batches = ListBatches(shown, SCHEMA, ["one", "two"], width=99, batch_size=5, seed=0, whole=whole)
    rows = np.arange(len(lists)) if whole else np.flatnonzero(lists.label.sum(1) > 0)
    items, said = (torch.cat([batch[name] for batch in batches.epoch(0)]).numpy() for name in ("items", "retrieval"))
    assert items.shape[1] == known[rows].sum(1).max() < lists.label.shape[1]
    assert sorted(items[items > 0]) == sorted(lists.candidates.items[rows][known[rows]])
    everywhere = retrieval_features(lists.candidates, ["one", "two"])[rows][known[rows]]
    assert sorted(map(tuple, said[items > 0])) == sorted(map(tuple, everywhere))
    taken = shown.take(np.array([3, 1])).known
    assert taken is not None
    assert np.array_equal(taken, known[[3, 1]])


def half_shown(unshown=2):
    """Every second candidate's label is known; of the others every item below 16 has a pseudo-label."""
    lists = some_lists()
    known = lists.candidates.there & ((np.arange(lists.label.shape[1]) % 2 == 0) | (lists.label > 0))
    weight = (lists.candidates.items % 16 / 8).astype(np.float32)
    pseudo = PseudoLabels(np.full(weight.shape, 0.25, np.float32), weight)
    tasks = {"buy": np.where(known, lists.label, np.nan).astype(np.float32)}
    lists = replace(lists, known=known, pseudo=pseudo, tasks=tasks)
    return lists, ListBatches(lists, SCHEMA, ["one", "two"], width=99, batch_size=5, seed=0, whole=True, unshown=unshown)


def test_pseudo_labels_come_beside_all_that_is_known():
    lists, batches = half_shown()
    check_batches(batches)
    whole = {name: torch.cat([batch[name] for batch in batches.epoch(0)]) for name in batches.epoch(0)[0]}
    assert whole["items"].shape[1] <= lists.known.sum(1).max() + 2
    assert sorted(whole["items"][whole["known"]].tolist()) == sorted(lists.candidates.items[lists.known].tolist())
    drawn = whole["pseudo_weight"] > 0
    assert drawn.any()
    assert not (drawn & whole["known"]).any()
    assert not ((whole["items"] > 0) & ~drawn & ~whole["known"]).any()
    assert whole["pseudo_weight"][drawn].equal((whole["items"] % 16 / 8)[drawn])
    assert (whole["label.buy"].isnan() == ~whole["known"]).all()


def test_other_candidates_are_drawn_each_epoch():
    _, batches = half_shown(unshown=1)
    seen = {
        tuple(sorted((b["items"] * (b["pseudo_weight"] > 0)).flatten().tolist())) for e in range(5) for b in [batches.epoch(e)[0]]
    }
    assert len(seen) > 1


def test_a_request_of_which_nothing_was_shown_has_pseudo_labels_alone():
    lists, _ = half_shown()
    lists = replace(lists, known=np.zeros_like(lists.known))
    batches = ListBatches(lists, SCHEMA, ["one", "two"], width=99, batch_size=5, seed=0, whole=True, unshown=2)
    for batch in batches.epoch(0):
        assert not batch["known"].any()
        assert (batch["pseudo_weight"] > 0).equal(batch["items"] > 0)


def test_ages_stand_in_their_items_places():
    requests = some_requests(3)
    history = history_of([[], [5], [7, 8, 9]], [[], [HOUR_US], [HOUR_US, 2 * HOUR_US, 12 * HOUR_US]])
    requests = replace(requests, history=history, at_us=np.full(3, 13 * HOUR_US))
    schema = {"history": Field("int64", ("rows", 2)), AGES: Field("float32", ("rows", 2))}
    batch = user_batch(requests, schema)
    check_batch(batch, schema)
    assert batch["history"].tolist() == [[0, 0], [5, 0], [8, 9]]
    assert batch[AGES].numpy() == pytest.approx(np.log1p([[0, 0], [12, 0], [11, 1]]))
