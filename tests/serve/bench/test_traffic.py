from collections import Counter

import pytest

from headrace.contracts.errors import ConfigError
from headrace.serve.bench.traffic import Traffic, shares_of

USERS, ITEMS = [f"u{n}" for n in range(20)], [f"i{n}" for n in range(9)]


def traffic(seed=0):
    return Traffic(USERS, ITEMS, "view", {"recommend": 80, "events": 15, "explain": 5}, seed)


def test_routes_come_by_their_shares_and_one_user_in_twenty_is_new():
    one = traffic()
    calls = [one.next() for _ in range(2000)]
    one.answered(calls[0])
    routes = Counter(call.route for call in calls)
    assert 230 < routes["events"] < 370
    assert routes["explain"] == 0, "there is nothing to explain before a page was given"
    new = sum(call.body["user_id"] not in USERS for call in calls) / len(calls)
    assert 0.03 < new < 0.07
    names = [call.body.get("request_id") or call.body["event_id"] for call in calls]
    assert len(set(names)) == len(names)


def test_pages_that_were_given_are_explained():
    one = traffic()
    call = next(call for call in iter(one.next, None) if call.route == "recommend")
    one.answered(call)
    explained = next(call for call in iter(one.next, None) if call.route == "explain")
    assert explained.path.endswith(call.body["request_id"])


def test_the_same_seed_asks_the_same():
    first, second, other = ([one.next().body["user_id"] for _ in range(50)] for one in (traffic(), traffic(), traffic(1)))
    assert first == second != other


@pytest.mark.parametrize(
    ("said", "says"), [("recomend=1", 'mean "recommend"'), ("events=lots", "no number"), ("events=0", "one of them is more")]
)
def test_shares_that_cannot_be_used_are_refused(said, says):
    with pytest.raises(ConfigError, match=says):
        shares_of(said)


def test_shares_are_read():
    assert shares_of("recommend=80, events=20") == {"recommend": 80, "events": 20}
