"""Judges against people: values as by hand, intervals by conversation, and what was not judged is counted."""

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.evaluate.agreement import agreement, people, table


def labels(*counts: tuple[int, int, int]) -> tuple[dict[str, int], dict[str, int]]:
    """judge's and people's, from (judge, people, how many)."""
    rows = [(judge, person) for judge, person, n in counts for _ in range(n)]
    return {str(n): judge for n, (judge, _) in enumerate(rows)}, {str(n): person for n, (_, person) in enumerate(rows)}


def test_figures_are_those_of_the_matrix_and_lie_in_their_intervals():
    found = agreement("j", *labels((0, 0, 20), (1, 0, 5), (0, 1, 10), (1, 1, 15)), rubrics=["r"])
    kappa = found.figures["kappa"]
    assert kappa.value == pytest.approx(0.4)
    assert (found.n, found.unparsed) == (50, 0.0)
    assert 0.1 < kappa.lo < 0.4 < kappa.hi < 0.65
    assert found.figures["dsat_precision"].value == pytest.approx(2 / 3)
    assert found.figures["dsat_recall"].value == pytest.approx(0.8)
    assert found.says("kappa").startswith("kappa 0.400 [0.")


def test_an_interval_is_about_as_wide_as_theory_says():
    """Standard error of accuracy: sqrt(p (1 - p) / n)."""
    found = agreement("j", *labels((0, 0, 150), (1, 0, 50), (1, 1, 150), (0, 1, 50))).figures["accuracy"]
    assert (found.hi - found.lo) == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 400), rel=0.1)  # 2,000 resamples


def test_rows_of_one_conversation_are_drawn_together():
    judged, given = labels((0, 0, 50), (1, 0, 30), (1, 1, 50), (0, 1, 30))
    alone = agreement("j", judged, given).figures["kappa"]
    tens = agreement("j", judged, given, conversations={row: str(int(row) // 10) for row in judged})
    assert tens.n == 16
    assert tens.figures["kappa"].value == pytest.approx(alone.value)
    assert tens.figures["kappa"].hi - tens.figures["kappa"].lo > 2 * (alone.hi - alone.lo)  # 16 things were seen, not 160


def test_what_was_not_judged_is_counted_not_guessed():
    judged, given = labels((0, 0, 30), (1, 1, 30))
    found = agreement("j", {row: one for row, one in judged.items() if int(row) % 4}, given)
    assert (found.n, found.unparsed, found.figures["kappa"].value) == (45, 0.25, 1.0)
    with pytest.raises(DataError, match='judge "j" and people rated no row in common'):
        agreement("j", {"elsewhere": 1}, given)


def test_a_judge_that_never_says_dsat_has_no_precision():
    found = agreement("j", *labels((1, 0, 20), (1, 1, 80))).figures["dsat_precision"]
    assert np.isnan([found.value, found.lo, found.hi]).all()


def test_people_are_compared_with_each_other():
    stream = np.random.default_rng(1)
    alike = {str(n): [n % 2] * 3 for n in range(60)}
    assert people(alike).figures["kappa"].value == 1.0
    by_chance = people({str(n): stream.integers(0, 2, 4).tolist() for n in range(400)})
    assert abs(by_chance.figures["kappa"].value) < 0.15  # three standard errors of 400 draws
    assert people({**alike, "single": [1]}).unparsed == pytest.approx(1 / 61)


def test_the_table_has_a_line_a_judge():
    shown = table({"rules": agreement("j", *labels((0, 0, 9), (1, 1, 9)))}, ["kappa"]).splitlines()
    assert shown[0].split() == ["judge", "n", "kappa", "unparsed"]
    assert shown[1].split() == ["rules", "18", "1.000", "[1.000,", "1.000]", "0.000"]
