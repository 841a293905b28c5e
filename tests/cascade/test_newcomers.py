"""Newcomers in a cascade of a few items, whose scores can be worked out by hand."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headrace.cascade.answers import walk
from headrace.cascade.cascade import Cascade
from headrace.cascade.newcomers import Newcomers
from headrace.cascade.scoring import Scoring
from headrace.contracts.batch import Field
from headrace.contracts.requests import Candidates, History, Requests, Slates
from headrace.contracts.seams import Outputs
from headrace.data.rank_inputs import list_schema
from headrace.data.vocabulary import Vocabulary
from headrace.methods.page.explore import Explore, ExploreConfig, Rule
from headrace.methods.page.explore.rules import resolve

N_ITEMS = 9  # 1 to 8, and 0
WORTH = np.array([0, 5, 1, 4, 2, 8, 3, 7, 6], np.float32)
"""What the scorer thinks of each."""


class Proposes:
    """The same to everybody, the first the best."""

    def __init__(self, *items: int):
        self.items = items

    def retrieve(self, requests, k, allowed):
        found = np.tile(np.array(self.items, np.int32), (len(requests), 1))
        found = np.where(allowed.items[found], found, 0)
        scores = np.where(found > 0, -np.arange(len(self.items), dtype=np.float32), np.nan).astype(np.float32)
        return Candidates(found, {"proposes": scores})


class Values:
    """A scorer: what an item is worth, and `by` times what is read of who proposed it."""

    schema = {"history": Field("int64", ("rows", 3))}

    def __init__(self, by: float = 0.0, stages: int = 1):
        self.by, self.candidate_schema = by, list_schema(stages)

    def user(self, batch):
        return {"history": batch["history"]}

    def score(self, state, candidates):
        worth = torch.from_numpy(WORTH)[candidates["items"]] + self.by * candidates["retrieval"].sum(2)
        return Outputs({"score": worth})


def requests(*histories):
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in histories])]).astype(np.int64)
    items = np.array([item for one in histories for item in one], np.int32)
    n = len(histories)
    history = History(offsets, items, np.arange(len(items), dtype=np.int64))
    return Requests(np.array([f"r{row}" for row in range(n)]), np.zeros(n, np.int32), np.full(n, 99), history)


def newcomers(kin, likeness, *, most=1, numbers=None, keys=None, may=None):
    n = len(kin)
    return Newcomers(
        N_ITEMS, np.arange(N_ITEMS, N_ITEMS + n, dtype=np.int32) if numbers is None else np.array(numbers, np.int32),
        np.arange(n, dtype=np.uint64) if keys is None else np.array(keys, np.uint64), np.array(kin, np.int32),
        np.array(likeness, np.float32), np.ones(n, np.bool_) if may is None else np.array(may), most,
    )  # fmt: skip


def cascade(of=None, *, proposes=(1, 2, 3, 4, 6), keep=(4, 3), by=0.0, page=None, slots=2):
    policy = page or Explore(ExploreConfig(slots=slots, temperature=1.0), policy_id="p")
    made = Cascade(
        {"proposes": Proposes(*proposes)}, ("proposes", Proposes(7, 8)),
        [Scoring("prerank", "values", Values(by), keep[0]), Scoring("rank", "values", Values(by, 2), keep[1])],
        policy, k=9, slots=1, available=np.arange(N_ITEMS) > 0, seen_items=True,
    )  # fmt: skip
    made.newcomers = of
    return made


def test_it_has_the_score_of_its_twin_and_known_items_lose_nothing():
    """What is most like it is worth 4."""
    plain, found = walk(cascade(), requests([]), seed=0), walk(cascade(newcomers([[3, 1]], [[0.6, 0.2]])), requests([]), seed=0)
    assert found.recalled.items.tolist() == [[1, 2, 3, 4, 6, 9]]
    assert found.scored["prerank"].items.tolist() == [[1, 3, 9, 6, 4, 2]]
    assert found.scored["prerank"].scores["prerank"].tolist() == [[5, 4, 4, 3, 2, 1]]
    assert plain.candidates.items.tolist() == [[1, 3, 6]]
    assert found.candidates.items.tolist() == [[1, 3, 9, 6]]
    assert found.candidates.scores["rank"].tolist() == [[5, 4, 4, 3]]


def test_it_goes_on_where_it_stands_above_the_last_that_does():
    """Worth 1, below the four that go on."""
    found = walk(cascade(newcomers([[2, 0]], [[1, 0]])), requests([]), seed=0)
    assert 9 in found.scored["prerank"].items
    assert found.scored["rank"].items.tolist() == [[1, 3, 6, 4]]


def test_what_is_read_of_who_proposed_it_is_that_of_its_kin_there():
    """Item 1 leads the proposals; a newcomer whose only kin was not proposed is read as the mean proposal."""
    found = walk(cascade(newcomers([[1, 0], [5, 0]], [[1, 0], [1, 0]], most=2), by=1.0), requests([5]), seed=0)
    made = found.scored["prerank"]
    scores = dict(zip(made.items[0].tolist(), made.scores["prerank"][0].tolist(), strict=True))
    assert scores[9] == pytest.approx(scores[1])
    proposed = [scores[item] - WORTH[item] for item in (1, 2, 3, 4, 6)]
    assert scores[10] == pytest.approx(WORTH[5] + np.mean(proposed), abs=1e-5)


def test_they_are_called_by_proposals_and_by_the_history_each_for_its_own():
    of = newcomers([[1, 0], [8, 0], [7, 0]], [[0.5, 0], [0.5, 0], [0.5, 0]], most=2)
    found = cascade(of).recall(requests([], [8], [7, 8]))
    assert [sorted(row[row >= N_ITEMS].tolist()) for row in found.items] == [[9], [9, 10], [9, 10, 11]]
    calls = dict(zip(found.items[2].tolist(), found.scores["newcomers"][2].tolist(), strict=True))
    assert calls[9] == pytest.approx(0.5 / 61)
    assert calls[10] == pytest.approx(0.5 / 61), "the newest of the history"
    assert calls[11] == pytest.approx(0.5 / 62)


def test_whoever_calls_nobody_is_answered_as_ever():
    made = cascade(newcomers([[8, 0]], [[1, 0]]))
    asked = requests([1])
    assert list(made.recall(asked).scores) == ["proposes"]
    plain, found = walk(cascade(), asked, seed=3), walk(made, asked, seed=3)
    np.testing.assert_array_equal(found.slates.items, plain.slates.items)
    np.testing.assert_array_equal(found.slates.log_prob, plain.slates.log_prob)


def test_who_may_not_be_shown_is_not_called():
    found = cascade(newcomers([[1, 0], [1, 0]], [[1, 0], [1, 0]], may=[False, True])).recall(requests([]))
    assert found.items[0].tolist() == [1, 2, 3, 4, 6, 10]


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_of_them_reach_the_page_than_it_may_show(most):
    of = newcomers([[1, 0], [3, 0], [6, 0]], [[1, 0]] * 3, most=most)
    for seed in range(20):
        made = walk(cascade(of, slots=4), requests([]), seed=seed)
        assert made.candidates.items[made.candidates.items >= N_ITEMS].tolist() == [9, 10][:most], "the best"


@pytest.mark.parametrize("settings", [
    {}, {"epsilon": 0.2}, {"mmr": 0.5}, {"most_per_category": 1}, {"rules": (Rule(boost_category="wool", factor=3.0),)},
    {"rules": (Rule(pin="i4", slot=1), Rule(block_category="steel"))},
])  # fmt: skip
def test_chances_are_exact_whatever_the_page_looks_at(settings):
    """Over all pages of two the chances sum to 1, the drawn ones have the chance that is said, and none says another."""
    names, ids = Vocabulary(["wool", "steel", "glass"]), Vocabulary([f"i{n}" for n in range(1, N_ITEMS)])
    bags = np.array([[0], [1], [2], [2], [1], [1], [3], [1], [2]], np.int32)
    config = ExploreConfig(slots=2, temperature=1.0, **settings)
    page = Explore(config, policy_id="p", categories=bags, rules=resolve(config.rules, ids, names, bags))
    of = newcomers([[1, 0], [3, 1]], [[0.9, 0], [0.8, 0.4]], most=2)
    made = cascade(of, page=page.welcoming(of.numbers, np.array([[1, 0], [2, 3]], np.int32), None, names.encode))
    asked = requests([])
    found = made.candidates(asked)
    shown = [item for item in found.items[0].tolist() if item]
    first, second = np.zeros(len(shown)), np.zeros((len(shown), len(shown)))
    for place, page_of in product(range(len(shown)), range(len(shown))):
        slate = Slates(np.array([[shown[place], shown[page_of]]], np.int32), np.zeros((1, 2)), "p", False)
        first[place], second[place, page_of] = np.exp(made.page.log_prob(asked, slate, found)[0])
    assert first.sum() == pytest.approx(1.0, abs=1e-9)
    some = second.sum(1) > 0  # a cap may leave the second slot empty
    np.testing.assert_allclose(second.sum(1)[some & (first > 0)], 1.0, atol=1e-9)
    assert first[np.array(shown) >= N_ITEMS].sum() + (first @ second)[np.array(shown) >= N_ITEMS].sum() > 0
    for seed in range(40):
        drawn = walk(made, asked, seed=seed).slates
        np.testing.assert_allclose(drawn.log_prob, made.page.log_prob(asked, drawn, found), atol=1e-12)


def test_what_a_rule_and_a_cap_say_holds_for_them_by_their_own_categories():
    names, bags = Vocabulary(["wool", "steel"]), np.array([[0]] + [[1]] * 8, np.int32)
    config = ExploreConfig(slots=2, rules=(Rule(block_category="steel", name="no steel"),))
    page = Explore(config, policy_id="p", categories=bags, rules=resolve(config.rules, names, names, bags))
    of = newcomers([[1, 0], [1, 0]], [[1, 0], [0.9, 0]], most=2)
    made = cascade(of, page=page.welcoming(of.numbers, np.array([[2], [1]], np.int32), None, names.encode))
    for seed in range(30):
        assert 9 not in walk(made, requests([]), seed=seed).slates.items
    assert any(10 in walk(made, requests([]), seed=seed).slates.items for seed in range(30))


@given(
    kin=st.lists(st.lists(st.integers(1, 8), min_size=2, max_size=4, unique=True), min_size=1, max_size=4),
    likeness=st.lists(st.floats(0.05, 1), min_size=4, max_size=4),
    past=st.lists(st.integers(1, 8), max_size=4), by=st.floats(0, 2), shift=st.integers(0, 5), seed=st.integers(0, 9),
)  # fmt: skip
def test_known_items_and_the_numbers_of_newcomers_have_no_say(kin, likeness, past, by, shift, seed):
    table = np.array([[*own, 0, 0][:4] for own in kin], np.int32)
    weights = np.where(table > 0, -np.sort(-np.array(likeness, np.float32)), 0)
    of = newcomers(table, weights, most=2)
    asked = requests(past)
    plain, found = walk(cascade(by=by), asked, seed=seed), walk(cascade(of, by=by), asked, seed=seed)
    for stage, made in plain.scored.items():
        with_them = found.scored[stage]
        known = with_them.items[0] < N_ITEMS
        assert with_them.items[0][known].tolist() == made.items[0].tolist()
        np.testing.assert_array_equal(with_them.scores[stage][0][known], made.scores[stage][0])
        assert np.isfinite(with_them.scores[stage][0][with_them.there[0]]).all()
    n = len(kin)
    other = newcomers(  # the same ones, come in the other order
        table[::-1], weights[::-1], most=2, keys=np.arange(n)[::-1], numbers=np.arange(n) + N_ITEMS + shift,
    )  # fmt: skip
    turned = walk(cascade(other, by=by), asked, seed=seed)
    as_first = {N_ITEMS + shift + n - 1 - place: N_ITEMS + place for place in range(n)}
    named = [as_first.get(item, item) for item in turned.slates.items[0].tolist()]
    assert named == found.slates.items[0].tolist()
    np.testing.assert_array_equal(turned.slates.log_prob, found.slates.log_prob)
