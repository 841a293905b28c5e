import pytest

from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError
from headrace.methods.page.explore import ExploreConfig, Rule


def of(**rule):
    return parse(ExploreConfig, {"slots": 5, "rules": [rule]}, where="shop.toml [page.explore]").rules[0]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({}, "one of pin, block, block_category, boost_category; this one has none"),
        ({"pin": "a", "slot": 1, "block": "b"}, "has pin and block"),
        ({"pin": "a"}, "pin and slot go together"),
        ({"block": "a", "slot": 2}, "pin and slot go together"),
        ({"boost_category": "a"}, "boost_category and factor go together"),
        ({"block": "a", "factor": 2.0}, "boost_category and factor go together"),
        ({"pin": "a", "slot": 0}, "greater than or equal to 1"),
        ({"pin": "a", "slot": 6}, "beyond the page's 5 slots"),
        ({"boost_category": "a", "factor": 0.0}, "greater than 0"),
        ({"block": "a", "since": "christmas"}, '"christmas" is no ISO time'),
        ({"block": "a", "until": "soon"}, '"soon" is no ISO time'),
        ({"block": "a", "since": "2026-02-01", "until": "2026-02-01"}, "not before until"),
        ({"block": "a", "from": "2026-02-01"}, '"from" is not a key'),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule, says):
    with pytest.raises(ConfigError, match=says):
        of(**rule)


def test_times_are_utc_unless_they_say_otherwise():
    rule = of(block="a", since="1970-01-01T00:00:01", until="1970-01-01T02:00:02+02:00")
    assert (rule.since_us, rule.until_us) == (1_000_000, 2_000_000)
    always = of(block="a")
    assert always.since_us < -(10**17) < 10**17 < always.until_us


def test_a_rule_goes_by_its_name_or_by_what_it_does():
    assert of(pin="heat", slot=2).label == 'pin "heat" in slot 2'
    assert of(block_category="Horror").label == 'block category "Horror"'
    assert of(boost_category="Drama", factor=1.5).label == 'boost category "Drama" by 1.5'
    assert of(block="heat", name="recalled").label == "recalled"


def test_a_stored_config_is_read_back():
    settings = ExploreConfig(rules=(Rule(pin="heat", slot=2, since="2026-01-01"), Rule(boost_category="Drama", factor=2.0)))
    assert parse(ExploreConfig, as_dict(settings), where="manifest") == settings
