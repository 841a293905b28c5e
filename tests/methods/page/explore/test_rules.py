from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Allowed, Candidates, Requests, Slates
from headrace.data.vocabulary import Vocabulary
from headrace.methods.page.explore import Explore, ExploreConfig, Rule
from headrace.methods.page.explore.rules import resolve
from headrace.testing import check_policy
from headrace.testing.examples import history_of, some_candidates, some_requests

ITEMS = Vocabulary([f"i{number}" for number in range(1, 20)])
GENRES = Vocabulary(["drama", "horror", "war"])
BAGS = np.array([[0, 0], [1, 0], [2, 0], [1, 3], [3, 0], [0, 0]] + [[2, 1]] * 14, np.int32)
BEST = {"temperature": 0.0, "epsilon": 0.0}
HOUR_US = 3_600_000_000


def page(*rules, **settings):
    config = ExploreConfig(rules=rules, **settings)
    return Explore(config, policy_id="p", categories=BAGS, rules=resolve(config.rules, ITEMS, GENRES, BAGS))


def asked(items, scores, n=1, **features):
    ids = np.array([f"r{row}" for row in range(n)])
    requests = Requests(ids, np.ones(n, np.int32), np.zeros(n, np.int64), history_of([[]] * n), features)
    return requests, Candidates(
        np.tile(np.array(items, np.int32), (n, 1)), {"rank": np.tile(np.array(scores, np.float32), (n, 1))}
    )


def shown(policy, requests, candidates):
    return policy.act(requests, candidates, seed=0).items.tolist()


def chance(policy, requests, candidates, items):
    slates = Slates(np.array([items], np.int32), np.zeros((1, len(items))), "p", False)
    return np.exp(policy.log_prob(requests, slates, candidates))[0].tolist()


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0, "mmr": 0.4, "most_per_category": 2}, {"temperature": 0.0}, BEST])
def test_contract(settings):
    """Item 1 is pinned wherever it is a candidate, item 2 nowhere to be seen, what is in "war" is held back."""
    requests = some_requests()
    candidates = some_candidates(requests)
    rules = (
        Rule(pin="i1", slot=2),
        Rule(pin="i9", slot=1, surface="app"),
        Rule(block="i2"),
        Rule(boost_category="war", factor=0.3),
    )
    policy = page(*rules, slots=4, **settings)
    check_policy(policy, requests, candidates)
    slates = policy.act(requests, candidates, seed=0)
    assert policy.deterministic == (settings == BEST)
    has = (candidates.items == 1).any(1)
    assert has.any()
    assert (slates.items[has, 1] == 1).all()
    assert (slates.log_prob[has, 1] == 0).all()
    assert not (slates.items == 2).any()


def test_a_pin_by_hand():
    """Weights 4, 2, 1: item 3, of weight 1, is kept for slot 2, so slot 1 is drawn from 4 and 2, and slot 3 from what is left."""
    requests, candidates = asked([1, 2, 3], np.log([4, 2, 1]))
    policy = page(Rule(pin="i3", slot=2), slots=3, temperature=1.0, epsilon=0.2)
    assert chance(policy, requests, candidates, [1, 3, 2]) == pytest.approx([0.8 * 4 / 6 + 0.1, 1, 1], rel=1e-6)
    assert chance(policy, requests, candidates, [3, 1, 2])[:2] == [0, 0]
    slates = policy.act(requests, candidates, seed=0)
    assert policy.pinned(requests, slates).tolist() == [[False, True, False]]


def test_a_pin_yields():
    requests, candidates = asked([1, 2, 3], [3, 2, 1])
    pin = Rule(pin="i3", slot=1)
    best = {"slots": 3, **BEST}
    assert shown(page(pin, **best), requests, candidates) == [[3, 1, 2]]
    assert shown(page(pin, Rule(block="i3"), **best), requests, candidates) == [[1, 2, 0]], "a block is stronger"
    assert shown(page(pin, Rule(block_category="war"), **best), requests, candidates) == [[1, 2, 0]]
    assert shown(page(Rule(pin="i4", slot=1), **best), requests, candidates) == [[1, 2, 3]], "no candidate: seen, or withdrawn"
    assert shown(page(Rule(pin="i2", slot=1), pin, **best), requests, candidates) == [[2, 1, 3]], "the first in the file"
    assert shown(page(pin, replace(pin, slot=3), **best), requests, candidates) == [[3, 1, 2]], "never twice"
    excluded, _ = asked([1], [1], exclude=np.array([[3, 0]], np.int32))
    assert shown(page(pin, **best), excluded, candidates) == [[1, 2, 0]], "what the request excludes"


def test_a_pin_stands_whatever_the_score_and_the_caps():
    requests, candidates = asked([1, 3, 2], [3, np.nan, 1])
    policy = page(Rule(pin="i3", slot=3), slots=3, most_per_category=1, **BEST)
    assert shown(policy, requests, candidates) == [[2, 0, 3]], "i3 is a drama, so the better drama has no room above it"
    assert shown(page(slots=3, **BEST), requests, candidates) == [[1, 2, 0]]


def test_what_is_blocked_or_excluded_has_no_chance():
    requests, candidates = asked([1, 2, 3, 4], [4, 3, 2, 1], exclude=np.array([[0, 4, 19]], np.int32))
    policy = page(Rule(block_category="drama"), slots=4)
    assert shown(policy, requests, candidates) == [[2, 0, 0, 0]]
    assert [chance(policy, requests, candidates, [item])[0] for item in (1, 2, 3, 4)] == [0, 1, 0, 0]


def test_a_boost_multiplies_the_odds_at_temperature_one():
    requests, candidates = asked([1, 2], np.log([1, 2]))
    for temperature in (1.0, 0.5):
        policy = page(Rule(boost_category="drama", factor=3.0), slots=1, temperature=temperature, epsilon=0.0)
        drama, horror = (chance(policy, requests, candidates, [item])[0] for item in (1, 2))
        assert drama / horror == pytest.approx((3 / 2) ** (1 / temperature), rel=1e-6)
    assert shown(page(Rule(boost_category="drama", factor=3.0), slots=2, **BEST), requests, candidates) == [[1, 2]]
    both = page(Rule(boost_category="drama", factor=3.0), Rule(boost_category="horror", factor=3.0), slots=2, **BEST)
    assert shown(both, requests, candidates) == [[2, 1]]
    _, twofold = asked([3, 2], np.log([1, 5]))
    both = page(
        Rule(boost_category="drama", factor=2.0), Rule(boost_category="war", factor=3.0), slots=1, temperature=1.0, epsilon=0.0
    )
    assert chance(both, requests, twofold, [3]) == pytest.approx([6 / 11], rel=1e-6)


def test_rules_hold_in_their_time_and_on_their_surface():
    requests, candidates = asked([1, 2], [2, 1], n=4, surface=np.array(["app", "app", "web", "app"]))
    requests = replace(requests, at_us=np.array([0, HOUR_US, HOUR_US, 2 * HOUR_US]))
    hour = Rule(block="i1", since="1970-01-01T01:00", until="1970-01-01T02:00", surface="app")
    assert shown(page(hour, slots=1, **BEST), requests, candidates) == [[1], [2], [1], [1]]
    unknown = replace(requests, features={})
    assert shown(page(hour, slots=1, **BEST), unknown, candidates) == [[1], [1], [1], [1]]


def test_each_shown_item_names_its_rules():
    requests, candidates = asked([1, 2, 3], [3, 2, 1], n=2, surface=np.array(["app", "web"]))
    rules = (
        Rule(pin="i3", slot=1, surface="app", name="campaign"),
        Rule(boost_category="drama", factor=1.1),
        Rule(boost_category="war", factor=1.1, name="war week"),
    )
    policy = page(*rules, slots=4, **BEST)
    slates = policy.act(requests, candidates, seed=0)
    assert slates.items.tolist() == [[3, 1, 2, 0], [1, 2, 3, 0]]
    drama = 'boost category "drama" by 1.1'
    assert policy.explain(requests, slates) == [[["campaign"], [drama], [], []], [[drama], [], [drama, "war week"], []]]
    assert policy.pinned(requests, slates).tolist() == [[True, False, False, False], [False] * 4]
    assert page(slots=4).explain(requests, slates) == [[[]] * 4] * 2


def test_pins_that_were_not_retrieved_join_the_candidates():
    requests, candidates = asked([1, 2], [2, 1], n=3)
    requests = replace(requests, history=history_of([[], [4], []]), at_us=np.array([0, 0, HOUR_US]))
    policy = page(Rule(pin="i4", slot=1, until="1970-01-01T01:00"), Rule(pin="i2", slot=2), Rule(pin="i5", slot=3), slots=3)
    available = np.ones(20, np.bool_)
    available[5] = False
    more = policy.with_pins(requests, candidates, Allowed(available, requests.history))
    assert more.items.tolist() == [[1, 2, 4], [1, 2, 0], [1, 2, 0]]
    assert np.isnan(more.scores["rank"][:, 2]).all()
    assert shown(policy, requests, more) == [[4, 2, 1], [1, 2, 0], [1, 2, 0]]
    assert policy.with_pins(requests, candidates, Allowed()).items.shape == (3, 4)
    check_policy(page(Rule(pin="i4", slot=3), slots=3, temperature=1.0), requests, more)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r'rule 1: pin = "i1O" is no item. Did you mean "i1"?'):
        resolve([Rule(pin="i1O", slot=1)], ITEMS)
    with pytest.raises(ConfigError, match=r'rule 2: boost_category = "dramas" is no category. Did you mean "drama"?'):
        resolve([Rule(block="i1"), Rule(boost_category="dramas", factor=2.0)], ITEMS, GENRES, BAGS)
    with pytest.raises(ConfigError, match="the items have no categories"):
        resolve([Rule(block_category="drama")], ITEMS)
    with pytest.raises(ConfigError, match="has 1 rules and was given 0"):
        Explore(ExploreConfig(rules=(Rule(block="i1"),)), policy_id="p")
