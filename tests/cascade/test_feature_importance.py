from dataclasses import replace

import numpy as np
import pytest

from headrace.cascade.feature_importance import Importance, importances, importances_told
from headrace.contracts.batch import Field
from headrace.contracts.rng import rng
from headrace.contracts.seams import Outputs
from headrace.data.rank_inputs import AGES, retrieval_features
from headrace.evaluate.pointwise import normalized_entropy
from headrace.testing.examples import some_lists


class Reads:
    """A logit of the item's number and of what the first retriever said; of the user nothing."""

    schema = {"history": Field("int32", ("rows", 5))}
    candidate_schema = {
        "items": Field("int32", ("rows", "candidates")), "retrieval": Field("float32", ("rows", "candidates", 6)),
    }  # fmt: skip

    def user(self, batch):
        return {}

    def score(self, state, candidates):
        return Outputs({"choice": candidates["items"] / 10 - 1 + 0.1 * candidates["retrieval"][..., 2]})


def lists_of(n=60):
    lists = some_lists(n)
    known = lists.candidates.there & (np.arange(6) < 3)
    label = (known & (lists.candidates.items > 10)).astype(np.float32)
    return replace(lists, known=known, label=label)


def test_what_is_read_moves_and_what_is_not_does_not():
    found = importances(Reads(), lists_of(), seed=0)
    assert list(found) == ["items", "retrieval", "history"], "the one that moves most comes first"
    assert found["history"] == Importance(0.0, 0.0)
    assert found["items"].moved > 3 * found["retrieval"].moved > 0
    assert found["items"].entropy > 0.1


def test_unshown_candidates_move_and_shown_ones_are_judged():
    """By hand: the shuffled items' own probabilities, each in its place."""
    lists = lists_of(1)
    there = lists.candidates.there
    found = importances(Reads(), lists, seed=0)["items"]
    draw = rng(0, "feature importance")
    draw.permutation(1)
    items = lists.candidates.items.copy()
    items[there] = items[there][draw.permutation(int(there.sum()))]
    said = 0.1 * np.array(some_retrieval(lists))
    p, q = (1 / (1 + np.exp(-(one / 10 - 1 + said))) for one in (lists.candidates.items, items))
    assert found.moved == pytest.approx(np.abs(p - q)[lists.unshown.there].mean(), rel=1e-5)
    labels = lists.label[lists.known].astype(float)
    wanted = normalized_entropy(labels, q[lists.known]) - normalized_entropy(labels, p[lists.known])
    assert found.entropy == pytest.approx(wanted, rel=1e-4)


def some_retrieval(lists):
    return retrieval_features(lists.candidates, ["one", "two"])[..., 2]


def test_labels_that_are_all_alike_judge_nothing():
    lists = lists_of()
    found = importances(Reads(), replace(lists, label=np.zeros_like(lists.label)), seed=0)
    assert all(np.isnan(one.entropy) for one in found.values())
    assert "NE" not in importances_told(found)["items"]


def test_where_all_was_shown_nothing_moves():
    lists = lists_of()
    found = importances(Reads(), replace(lists, known=lists.candidates.there), seed=0)
    assert all(np.isnan(one.moved) for one in found.values())


def test_the_report_says_both_orders():
    told = importances_told({"a": Importance(0.2, 0.01), "b": Importance(0.1, 0.03)})
    assert told["a"] == "shuffled, it moves probabilities of the unshown by 0.2000; NE of the shown by +0.0100, number 2 there"
    assert told["b"].endswith("number 1 there")


class ReadsAges(Reads):
    """Of the user, whether each past item stands beside its own age, which only both shuffled alike keep so."""

    schema = {"history": Field("int64", ("rows", 5)), AGES: Field("float32", ("rows", 5))}

    def user(self, batch):
        return {"apart": ((batch["history"] > 0) != (batch[AGES] > 0)).any(1)}

    def score(self, state, candidates):
        return Outputs({"choice": state["apart"].float().unsqueeze(1).expand(candidates["items"].shape)})


def test_a_history_and_its_ages_are_one_field():
    found = importances(ReadsAges(), lists_of(), seed=0)
    assert set(found) == {"history", "items", "retrieval"}
    assert found["history"].moved == 0
