"""A user in a sentence from what they chose: by hand, whatever the order, and nothing where there is nothing to say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.requests import History
from headrace.data.summaries import ExtractiveConfig, Summaries, extracted, words_of

CATEGORIES = [(), ("Drama",), ("Drama", "Crime"), ("Western", "Crime"), ("Drama",), ("Film-Noir",), ()]
WORDS = words_of([""] * len(CATEGORIES), CATEGORIES)


def history_of(*rows: list[int]) -> History:
    items = np.array([item for row in rows for item in row], np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return History(offsets, items, np.arange(len(items), dtype=np.int64))


def said(*rows: list[int], words=WORDS, **settings) -> list[str]:
    return list(extracted(history_of(*rows), words, ExtractiveConfig(**settings)).texts)


def test_the_rarest_and_the_most_frequent_words_are_liked_and_the_newest_is_recent():
    # ln(8/4)+1 = 1.69 drama (3 of 7 items), ln(8/3)+1 = 1.98 crime, ln(8/2)+1 = 2.39 western and film-noir
    assert said([], [1, 1, 2, 3]) == ["", "likes drama, crime, western"]
    assert said([], [1, 1, 2, 3, 5]) == ["", "likes drama, crime, film-noir; recently western"]
    assert said([], [3, 5, 1, 1, 2], newest=1) == ["", "likes drama, crime, film-noir"], "the newest has no other word"
    assert said([], [5, 2], liked=1, newest=1) == ["", "likes film-noir; recently crime"]
    assert said([], [5, 2], liked=1, newest=0) == ["", "likes film-noir"]


def test_equal_weights_are_told_by_the_alphabet():
    assert said([], [3], liked=1) == ["", "likes western; recently crime"]
    assert words_of(["", "", ""], [(), ("b", "a"), ("a", "b")]).words == ("a", "b")
    assert said([], [1, 2], words=words_of(["", "", ""], [(), ("b", "a"), ("a", "b")]), liked=1) == ["", "likes a; recently b"]


def test_a_category_is_told_on_one_line():
    assert said([], [1], words=words_of(["", ""], [(), (" Costume\nDrama ",)])) == ["", "likes costume drama"]


def test_who_has_nothing_to_be_told_of_has_no_sentence():
    assert said([], [6], [], [1]) == ["", "", "", "likes drama"]
    nothing = words_of(["", "12 34", "a b"], [(), (), (" \n",)])
    assert said([], [1, 2], words=nothing) == ["", ""]
    assert extracted(history_of(), WORDS).texts == ()


def shelf(n: int = 200):
    """Of two hundred books five are of sailing and eight of gardens; one alone has a word of its own."""
    texts = [""] + [f"book {'sailing' if place < 5 else 'garden' if place < 13 else ''}" for place in range(n)]
    texts[1] += " unheard"
    return texts, [()] + [("Books",)] * n


def test_key_terms_stand_behind_categories_and_none_is_one_items_own():
    texts, categories = shelf()
    both = words_of(texts, categories)
    assert both.words == ("books", "garden", "sailing"), "book is everywhere, unheard in one"
    assert said([], [1, 6], words=both, liked=2) == ["", "likes books, sailing; recently garden"]
    terms = words_of(texts, categories, settings=ExtractiveConfig(of="terms"))
    assert said([], [1, 6], words=terms, liked=2) == ["", "likes sailing, garden"]
    categories_alone = words_of(texts, categories, settings=ExtractiveConfig(of="categories"))
    assert said([], [1, 6], words=categories_alone) == ["", "likes books"]


def test_a_term_that_is_a_category_elsewhere_is_that_category():
    texts, categories = shelf()
    categories[150] = ("Garden",)
    assert said([], [6, 1], words=words_of(texts, categories), liked=2) == ["", "likes garden, books; recently sailing"]


def test_items_that_came_later_have_words_but_no_say_in_what_is_rare():
    categories = [(), ("a", "b"), ("b",), ("a",), ("a",), ("c",)]
    known = np.array([False, True, True, False, False, False])
    words = words_of([""] * 6, categories, known)
    assert said([], [1], words=words, liked=1) == ["", "likes a; recently b"]
    assert said([], [1], words=words_of([""] * 6, categories), liked=1) == ["", "likes b; recently a"]
    assert said([], [5], words=words) == ["", "likes c"]


@given(st.lists(st.lists(st.integers(1, 6), max_size=12), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_a_user_is_told_of_alone_and_what_is_liked_is_of_no_order(rows, random):
    together = said(*rows, newest=0)
    assert together == [said(row, newest=0)[0] for row in rows]
    for row in rows:
        random.shuffle(row)
    assert said(*rows, newest=0) == together


def test_they_come_back_from_arrays_as_they_were():
    made = Summaries(("", "likes ünï, ç", "", "likes b"), "extractive")
    back = Summaries.from_arrays(made.arrays())
    assert (back.texts, back.source, back.told) == (made.texts, made.source, 2)
    assert all(array.dtype != object for array in made.arrays().values())
    none = Summaries.from_arrays(Summaries.none(3).arrays())
    assert (none.texts, none.source, none.told) == (("", "", ""), "none", 0)


@pytest.mark.parametrize("users", [8191, 8193])
def test_blocks_of_users_are_of_no_account(users):
    found = said(*([[]] * (users - 1)), [1, 2])
    assert found[-1] == "likes drama, crime"
    assert not any(found[:-1])
