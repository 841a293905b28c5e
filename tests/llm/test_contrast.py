"""What two groups want differently: planted differences come out, what both want does not, and chance is no difference."""

import json
from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists

from headrace.contracts.errors import DataError
from headrace.llm.chat import Chatting
from headrace.llm.contrast import ContrastConfig, benjamini_hochberg, contrast, two_proportions
from headrace.llm.learner import Reason
from headrace.testing.chat import Scripted

SIDES = {"depth": ("code first", "step by step"), "manners": ("friendly", "Friendly "), "length": ("short", "long")}


def reasons(group: str, **counts: int) -> list[Reason]:
    return [Reason(f"{group}{n}", key, f"about {key}", ()) for key, times in counts.items() for n in range(times)]


def answering(chat) -> str:
    """Orders every reason under the aspect of its key; sides as planted."""
    a, _, b = chat[1].content.partition("Reasons of group B:")
    rows = [
        {"key": key, "description": f"The {key}.", "a": one, "b": other, "a_reasons": _under(a, key), "b_reasons": _under(b, key)}
        for key, (one, other) in SIDES.items()
    ]
    return json.dumps({"aspects": rows})


def _under(text: str, key: str) -> list[int]:
    return [int(line.split(".")[0]) for line in text.splitlines() if f". {key}: about" in line]


def asked(first, second, **settings):
    model = Chatting(Scripted(settings.pop("answer", answering)))
    groups = {"expert": first, "novice": second}
    return contrast(model, groups, name="help", scope={"intent": "code"}, config=ContrastConfig(**settings))


@pytest.mark.parametrize("batch", [7, 100])
def test_the_planted_difference_comes_out_with_both_sides(batch):
    found = asked(reasons("e", depth=30, manners=10, length=10), reasons("n", depth=5, manners=10, length=9), batch=batch)
    assert found.rubric is not None
    (item,) = found.rubric.items
    assert (item.key, dict(item.sides)) == ("depth", {"expert": "code first", "novice": "step by step"})
    assert (item.stat["share_a"], item.stat["share_b"]) == (pytest.approx(30 / 50), pytest.approx(5 / 24))
    assert item.support == 35
    assert [one.key for one in found.weak] == ["length"]
    assert found.alike == found.tally.asked  # manners, proposed every time
    assert (found.rubric.polarity, found.rubric.scope) == ("CONTRAST", {"intent": "code"})


def test_groups_that_want_alike_get_no_rubric():
    found = asked(reasons("e", depth=20, length=20), reasons("n", depth=20, length=20))
    assert found.rubric is None
    assert [one.key for one in found.weak] == ["depth", "length"]


def test_a_sure_but_small_gap_steers_nobody():
    first, second = reasons("e", depth=150, length=50), reasons("n", depth=100, length=100)
    assert asked(first, second, batch=500).rubric is not None
    assert asked(first, second, batch=500, least_gap=0.3).rubric is None


def test_an_answer_that_cannot_be_used_is_counted():
    found = asked(reasons("e", depth=4), reasons("n", length=4), answer=lambda _: '{"aspects": [{}]}')
    assert (found.rubric, found.tally.asked, found.tally.unparsed) == (None, 1, 1)
    twice = json.dumps(
        {"aspects": [{"key": key, "description": key, "a": "x", "b": "y", "a_reasons": [1], "b_reasons": []} for key in "pq"]}
    )
    found = asked(reasons("e", depth=4), reasons("n", length=4), answer=lambda _: twice)
    assert (found.rubric, found.tally.unparsed) == (None, 1)
    assert "at most once" in found.tally.reasons[0]


def test_two_groups_with_reasons_are_needed():
    with pytest.raises(DataError, match=r"groups are expert \(3 reasons\), novice \(0 reasons\), expected two"):
        asked(reasons("e", depth=3), [])


def test_two_proportions_by_hand():
    z, p = two_proportions(30, 50, 10, 50)
    assert z == pytest.approx(0.4 / sqrt(0.4 * 0.6 * 0.04))
    assert p == pytest.approx(4.455e-5, rel=1e-3)
    assert two_proportions(0, 5, 0, 9) == two_proportions(5, 5, 9, 9) == (0.0, 1.0)


def test_benjamini_hochberg_by_hand():
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


@given(lists(floats(0, 1), min_size=1, max_size=12))
def test_adjusted_rates_are_larger_and_keep_the_order(p):
    adjusted = benjamini_hochberg(p)
    assert all(one >= given for one, given in zip(adjusted, p, strict=True))
    ordered = [rate for _, rate in sorted(zip(p, adjusted, strict=True))]
    assert all(one <= other for one, other in pairwise(ordered))
    assert max(adjusted) <= 1
