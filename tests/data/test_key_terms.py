"""Words of a text that several texts have and few do; later texts have no say in which."""

import numpy as np
import pytest

from headrace.data.key_terms import key_terms


def of(texts, counted=None, most=8):
    counted = np.ones(len(texts), np.bool_) if counted is None else counted
    return key_terms(texts, counted, most)


def test_a_word_of_five_texts_in_a_hundred_is_a_term_and_weighs_what_the_formula_says():
    own = [f"only{'abcdefghij'[place % 10]}{'abcdefghij'[place // 10]}" for place in range(100)]
    texts = [f"common {'rare rare ' if place < 5 else ''}{word}" for place, word in enumerate(own)]
    found = of(texts)
    assert found.rows()[0] == (0, "rare", pytest.approx(2 * (np.log(101 / 6) + 1)))
    assert found["row"].to_list() == [0, 1, 2, 3, 4]


def test_the_loudest_come_first_and_equals_by_the_alphabet():
    texts = ["beta alpha gamma gamma"] * 5 + ["nothing here"] * 95
    assert of(texts).filter(row=0)["word"].to_list() == ["gamma", "alpha", "beta"]
    assert of(texts, most=1).filter(row=0)["word"].to_list() == ["gamma"]


def test_later_texts_have_terms_but_no_say():
    texts = ["alpha"] * 5 + ["beta"] * 5 + ["other"] * 90
    counted = np.array([True] * 5 + [False] * 5 + [True] * 90)
    assert of(texts, counted)["word"].unique().to_list() == ["alpha"], "beta is of later texts alone"
    counted[4] = False
    assert of(texts, counted).is_empty(), "four are too few"


def test_a_word_is_three_letters_of_any_script_and_no_monster():
    texts = ["Ünï 12345 ab " + "x" * 25] * 5 + [""] * 95
    assert of(texts)["word"].unique().to_list() == ["ünï"]
