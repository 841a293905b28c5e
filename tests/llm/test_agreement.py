"""Kappa and its kin against values worked out by hand, and judges against each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, tuples

from headrace.contracts.errors import DataError
from headrace.llm.agreement import FIGURES, agreed, between_judges, confusion, figures, learned_threshold
from headrace.llm.rubric import Item, Rubric
from headrace.llm.rule_judge import Pattern, RuleJudge
from headrace.llm.transcript import Conversation, Turn


def rated(matrix: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(row, column) for row, cells in enumerate(matrix) for column, count in enumerate(cells) for _ in range(count)]
    first, second = np.array(pairs).T
    return first, second


def test_kappa_by_hand():
    """20, 5 / 10, 15: o = 0.7, e = 0.5 x 0.6 + 0.5 x 0.4 = 0.5, kappa 0.4."""
    found = agreed(*rated([[20, 5], [10, 15]]))
    assert found["kappa"] == pytest.approx(0.4)
    assert found["weighted_kappa"] == pytest.approx(0.4)  # of two classes there are no near misses
    assert found["dsat_precision"] == pytest.approx(20 / 30)
    assert found["dsat_recall"] == pytest.approx(20 / 25)
    f1 = (2 * 20 / 55, 2 * 15 / 45)
    assert found["macro_f1"] == pytest.approx(sum(f1) / 2)
    assert found["weighted_f1"] == pytest.approx(sum(f1) / 2)  # 25 of each
    assert found["accuracy"] == pytest.approx(0.7)


def test_weighted_kappa_by_hand():
    """Three classes, quadratic: disagreements 1/4 and 1. Observed 4/4 + 2 of 20, by chance from the margins."""
    matrix = np.array([[5, 2, 1], [1, 4, 1], [1, 0, 5]], float)
    far = np.array([[0, 1, 4], [1, 0, 1], [4, 1, 0]]) / 4
    by_chance = np.outer(matrix.sum(1), matrix.sum(0)) / matrix.sum()
    wanted = 1 - (matrix * far).sum() / (by_chance * far).sum()
    assert figures(matrix)[FIGURES.index("weighted_kappa")] == pytest.approx(wanted)


def test_a_judge_of_one_word_agrees_by_chance_alone():
    found = agreed(*rated([[0, 20], [0, 80]]))
    assert found["kappa"] == pytest.approx(0)
    assert np.isnan(found["dsat_precision"])
    assert found["dsat_recall"] == 0
    assert found["weighted_f1"] == pytest.approx(0.8 * 160 / 180)  # looks well
    assert found["macro_f1"] == pytest.approx(80 / 180)  # does not
    assert np.isnan(agreed(np.ones(5, int), np.ones(5, int))["kappa"])


@settings(max_examples=40)
@given(lists(tuples(integers(0, 3), integers(0, 3)), min_size=1, max_size=40))
def test_kappa_does_not_care_who_was_first_and_is_one_for_equals(pairs):
    first, second = np.array(pairs).T
    one, other = agreed(first, second, 4), agreed(second, first, 4)
    for name in ("kappa", "weighted_kappa", "macro_f1", "accuracy"):
        assert one[name] == pytest.approx(other[name], nan_ok=True)
    if len(set(first)) > 1:
        assert agreed(first, first, 4)["kappa"] == pytest.approx(1)
        assert agreed(first, first, 4)["weighted_kappa"] == pytest.approx(1)


def test_matrices_are_taken_together_as_one_by_one():
    stream = np.random.default_rng(0)
    some = stream.integers(1, 9, (5, 3, 3)).astype(float)
    np.testing.assert_allclose(figures(some), np.stack([figures(one) for one in some]))


def test_what_can_not_be_compared_is_said():
    with pytest.raises(DataError, match="2 ratings against 3"):
        confusion(np.array([0, 1]), np.array([0, 1, 1]))
    with pytest.raises(DataError, match="the second rater's are 0 to 2, expected 0 to 1"):
        confusion(np.array([0, 1]), np.array([0, 2]))


def test_the_threshold_parts_training_rows_where_they_part():
    totals = {"a": -8.0, "b": -3.0, "c": 4.0, "d": 9.0}
    assert learned_threshold(totals, {"a": 0, "b": 0, "c": 1, "d": 1}) == 0.0  # anything from -3 to 4 would do
    assert learned_threshold(totals, {"a": 0, "b": 1, "c": 1, "d": 1}) == pytest.approx(-5.5)
    assert learned_threshold(totals, {"a": 0, "b": 0, "c": 0, "d": 1}) == pytest.approx(6.5)
    assert learned_threshold(totals, dict.fromkeys(totals, 0)) == pytest.approx(10.0)
    with pytest.raises(DataError, match='target "d" has a total and no label'):
        learned_threshold(totals, {"a": 0, "b": 0, "c": 1})
    with pytest.raises(DataError, match="no totals"):
        learned_threshold({}, {})


def test_judges_are_compared_item_by_item():
    rubric = Rubric("r", "SAT", (Item("thanks", "Thanks."), Item("praise", "Praise.")))
    said = ["thanks", "thank you", "great", "hm"]
    targets = [Conversation(str(place), (Turn("user", one),)) for place, one in enumerate(said)]
    one = RuleJudge("one", {"thanks": Pattern("thank"), "praise": Pattern("great")}).score(targets, [rubric])
    other = RuleJudge("other", {"thanks": Pattern("thanks"), "praise": Pattern("great")}).score(targets, [rubric])
    table = between_judges([one, other])
    assert table.select("key", "n", "present", "present_other").rows() == [("thanks", 4, 0.5, 0.25), ("praise", 4, 0.25, 0.25)]
    assert table["kappa"].to_list() == pytest.approx([0.5, 1.0])
    assert table["correlation"][1] == pytest.approx(1.0)
    assert between_judges([one]).is_empty()
