from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Candidates, Requests, Slates
from headrace.methods.page.explore import Explore, ExploreConfig
from headrace.testing import check_policy
from headrace.testing.examples import history_of, some_candidates, some_requests

CATEGORIES = np.array([0, 1, 1, 1, 2, 2, 0, 0] + [3] * 12, np.int32)


def explore(categories=None, **settings):
    return Explore(ExploreConfig(**settings), policy_id="explore", categories=categories)


def one_list(items, scores, n=1):
    requests = Requests(
        np.array([f"r{row}" for row in range(n)]), np.ones(n, np.int32), np.zeros(n, np.int64), history_of([[]] * n)
    )
    return requests, Candidates(
        np.tile(np.array(items, np.int32), (n, 1)), {"rank": np.tile(np.array(scores, np.float32), (n, 1))}
    )


def propensity(policy, requests, candidates, page):
    slates = Slates(np.array([page], np.int32), np.zeros((1, len(page))), "explore", False)
    return np.exp(policy.log_prob(requests, slates, candidates))[0].tolist()


@pytest.mark.parametrize(
    "settings",
    [
        {"slots": 4},
        {"slots": 4, "temperature": 1.0, "epsilon": 0.0},
        {"slots": 9, "temperature": 2.0, "most_per_category": 1},
        {"slots": 3, "temperature": 0.0, "epsilon": 0.3},
        {"slots": 3, "temperature": 0.0, "epsilon": 0.0},
        {"slots": 3, "temperature": 0.0, "epsilon": 0.0, "most_per_category": 1},
        {"slots": 2, "temperature": 1.0, "epsilon": 1.0},
    ],
)
def test_contract(settings):
    requests = some_requests()
    policy = explore(CATEGORIES, **settings)
    check_policy(policy, requests, some_candidates(requests))
    assert policy.deterministic == (settings.get("temperature", 0.1) == settings.get("epsilon", 0.02) == 0)


def test_propensities_by_hand():
    """Weights 4, 2, 1 at T = 1, mixed with 30% uniform: slot 1 over 7, slot 2 over what the first left."""
    requests, candidates = one_list([5, 6, 7], np.log([4, 2, 1]))
    policy = explore(slots=2, temperature=1.0, epsilon=0.3)
    first = {5: 0.7 * 4 / 7 + 0.1, 6: 0.7 * 2 / 7 + 0.1, 7: 0.7 * 1 / 7 + 0.1}
    second = {(5, 6): 2 / 3, (5, 7): 1 / 3, (6, 5): 4 / 5, (6, 7): 1 / 5, (7, 5): 4 / 6, (7, 6): 2 / 6}
    for page in permutations([5, 6, 7], 2):
        wanted = [first[page[0]], 0.7 * second[page] + 0.3 / 2]
        assert propensity(policy, requests, candidates, page) == pytest.approx(wanted, rel=1e-6)  # the scores are float32


def test_temperature_divides_the_score():
    requests, candidates = one_list([5, 6], np.log([4, 1]))
    assert propensity(explore(temperature=2.0, epsilon=0.0), requests, candidates, [5]) == pytest.approx([2 / 3], rel=1e-6)


def test_the_best_is_shown_where_nothing_is_explored():
    requests, candidates = one_list([5, 6, 7], [1.0, 3.0, 2.0])
    policy = explore(slots=2, temperature=0.0, epsilon=0.0)
    assert policy.deterministic
    assert policy.act(requests, candidates, seed=0).items.tolist() == [[6, 7]]
    assert propensity(policy, requests, candidates, [6, 7]) == [1, 1]
    assert propensity(policy, requests, candidates, [5, 6]) == [0, 1], "given what stands above it, 6 is the best again"
    mixed = explore(slots=1, temperature=0.0, epsilon=0.3)
    assert propensity(mixed, requests, candidates, [6]) == pytest.approx([0.8])
    assert propensity(mixed, requests, candidates, [5]) == pytest.approx([0.1])


def test_a_category_is_capped():
    requests, candidates = one_list([1, 2, 3, 4, 6, 7], [9, 8, 7, 3, 2, 1])
    page = {cap: explore(CATEGORIES, slots=6, temperature=0.0, epsilon=0.0, most_per_category=cap) for cap in (0, 1, 2)}
    shown = {cap: policy.act(requests, candidates, seed=0).items[0].tolist() for cap, policy in page.items()}
    assert shown == {0: [1, 2, 3, 4, 6, 7], 1: [1, 4, 6, 7, 0, 0], 2: [1, 2, 4, 6, 7, 0]}
    policy = explore(CATEGORIES, slots=2, temperature=1.0, epsilon=0.3, most_per_category=1)
    assert propensity(policy, requests, candidates, [1, 2])[1] == 0
    wanted = 0.7 * 1 / (1 + np.exp(-1) + np.exp(-2)) + 0.1
    assert propensity(policy, requests, candidates, [1, 4])[1] == pytest.approx(wanted)


def test_a_page_stays_short_where_there_is_nothing_more():
    requests, candidates = one_list([5, 0, 0], [1.0, np.nan, np.nan])
    slates = explore(slots=3).act(requests, candidates, seed=0)
    assert slates.items.tolist() == [[5, 0, 0]]
    assert slates.log_prob.tolist() == [[0, 0, 0]]


def test_pages_come_as_often_as_their_propensities_say():
    n = 4000
    requests, candidates = one_list([5, 6, 7], np.log([4, 2, 1]), n)
    policy = explore(slots=2, temperature=1.0, epsilon=0.1)
    slates = policy.act(requests, candidates, seed=0)
    pages = list(permutations([5, 6, 7], 2))
    counts = [int((slates.items == page).all(1).sum()) for page in pages]
    wanted = [
        n * np.prod(propensity(policy, requests.take(np.array([0])), candidates.take(np.array([0])), page)) for page in pages
    ]
    assert chisquare(counts, wanted).pvalue > 0.001
    seeds = [
        policy.act(requests.take(np.array([0])), candidates.take(np.array([0])), seed=seed).items[0, 0] for seed in range(600)
    ]
    assert chisquare(np.bincount(seeds)[5:], 600 * np.array([0.9 * w / 7 + 0.1 / 3 for w in (4, 2, 1)])).pvalue > 0.001


def test_another_policy_draws_otherwise():
    requests, candidates = one_list([5, 6, 7], [0, 0, 0], 50)
    one, other = (Explore(ExploreConfig(slots=1), policy_id=name).act(requests, candidates, seed=0) for name in ("a", "b"))
    assert (one.items != other.items).any()


@given(st.floats(-1e4, 1e4, width=32), st.integers(0, 3))
def test_a_constant_on_all_scores_changes_nothing(shift, seed):
    whole = [3.0, 1.0, 2.0]
    policy = explore(slots=3, temperature=0.5)
    requests, candidates = one_list([5, 6, 7], whole)
    _, moved = one_list([5, 6, 7], np.array(whole) + np.round(shift))
    assert policy.act(requests, moved, seed=seed).items.tolist() == policy.act(requests, candidates, seed=seed).items.tolist()


def test_extreme_scores_stay_exact():
    requests, candidates = one_list([5, 6, 7], [3e38, -3e38, np.nan])
    policy = explore(slots=2, temperature=0.01, epsilon=0.1)
    assert propensity(policy, requests, candidates, [6, 5]) == pytest.approx([0.05, 1.0])
    assert propensity(policy, requests, candidates, [7, 5])[0] == 0, "the last stage did not score it"


def test_it_needs_candidates():
    requests, candidates = one_list([5], [1.0])
    with pytest.raises(DataError, match="ask the cascade"):
        explore().act(requests, seed=0)
    with pytest.raises(DataError, match="needs the candidates"):
        explore().log_prob(requests, explore().act(requests, candidates, seed=0))


BAGS = np.array([[0, 0], [1, 0], [1, 2], [2, 0], [3, 0], [0, 0]] + [[4, 1]] * 14, np.int32)
VECTORS = np.concatenate([np.zeros((1, 3)), np.eye(3), np.random.default_rng(0).normal(size=(16, 3))]).astype(np.float32)


@pytest.mark.parametrize("vectors", [None, VECTORS])
@pytest.mark.parametrize(
    "settings", [{"temperature": 1.0}, {"temperature": 0.0, "epsilon": 0.2}, {"mmr": 1.0, "most_per_category": 1}]
)
def test_contract_with_likeness_and_bags(vectors, settings):
    requests = some_requests()
    policy = Explore(ExploreConfig(slots=4, **{"mmr": 0.5, **settings}), policy_id="p", categories=BAGS, vectors=vectors)
    check_policy(policy, requests, some_candidates(requests))


def test_any_category_of_an_item_is_capped():
    requests, candidates = one_list([2, 1, 3, 4], [4, 3, 2, 1])
    policy = explore(BAGS, slots=4, temperature=0.0, epsilon=0.0, most_per_category=1)
    assert policy.act(requests, candidates, seed=0).items.tolist() == [[2, 4, 0, 0]], "item 2 fills both its categories"


@pytest.mark.parametrize("vectors", [None, VECTORS])
def test_likeness_by_hand(vectors):
    """Scores 3, 2, 1 have σ = √(2/3). Item 1 stands first; item 2 shares one of its two categories, and no direction."""
    requests, candidates = one_list([1, 2, 3], [3, 2, 1])
    policy = Explore(
        ExploreConfig(slots=3, temperature=1.0, epsilon=0.0, mmr=0.4), policy_id="p", categories=BAGS, vectors=vectors
    )
    weights = np.exp(0.6 * np.array([3, 2, 1]))
    alike = np.sqrt(0.5) if vectors is None else 0.0
    second = np.array([weights[1] * np.exp(-0.4 * np.sqrt(2 / 3) * alike), weights[2]])
    wanted = [weights[0] / weights.sum(), second[0] / second.sum(), 1]
    assert propensity(policy, requests, candidates, [1, 2, 3]) == pytest.approx(wanted, rel=1e-6)


def test_the_likest_item_above_counts_and_equal_scores_leave_likeness_to_decide():
    vectors = np.array([[0, 0], [1, 0], [0, 1], [1, 0.1], [0.1, 1], [1, 1]], np.float32)
    requests, candidates = one_list([1, 2, 3, 4, 5], [1, 1, 1, 1, 1])
    policy = Explore(ExploreConfig(slots=5, temperature=0.0, epsilon=0.0, mmr=0.3), policy_id="p", vectors=vectors)
    assert policy.act(requests, candidates, seed=0).items.tolist() == [[1, 2, 5, 3, 4]]


def test_beyond_the_last_slot_nothing_is_shown():
    requests, candidates = one_list([5, 6, 7], [1, 2, 3])
    policy = explore(slots=1, temperature=1.0)
    slates = Slates(np.array([[7, 6, 0]], np.int32), np.zeros((1, 3)), "explore", False)
    logs = policy.log_prob(requests, slates, candidates)[0]
    assert (np.isfinite(logs[0]), logs[1], logs[2]) == (True, -np.inf, 0)


@pytest.mark.parametrize(
    ("settings", "says"), [({"most_per_category": 1}, "needs categories"), ({"mmr": 0.1}, "vectors or categories")]
)
def test_what_it_needs_is_asked_for(settings, says):
    with pytest.raises(ConfigError, match=says):
        explore(**settings)


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": 0.0, "epsilon": 0.3}, {"epsilon": 0.1}, {}])
def test_a_page_alone_is_to_the_bit_what_it_is_among_others(settings):
    policy, draw = explore(slots=6, **settings), np.random.default_rng(0)
    for width in (3, 20, 101):
        scores = np.round(draw.normal(size=(12, width)), 1).astype(np.float32)
        scores[draw.random(scores.shape) < 0.2], scores[0] = np.nan, np.nan
        items = np.array([draw.permutation(width) for _ in range(12)], np.int32)
        requests, candidates = some_requests(12), Candidates(items, {"rank": scores})
        with np.errstate(all="ignore"):
            among = policy.act(requests, candidates, seed=3)
            for row in range(12):
                alone = policy.act(requests.take([row]), candidates.take([row]), seed=3)
                assert alone.items.tolist() == among.items[[row]].tolist()
                assert alone.log_prob.tobytes() == among.log_prob[[row]].tobytes()
