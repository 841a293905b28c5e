"""Codes in words."""

import numpy as np

from headrace.encode.semantic_ids.ids import told_apart
from headrace.encode.semantic_ids.words import words_of_codes

TEXTS = [
    "",
    *("The kettle of iron, for tea", "A tea kettle", "Iron teapot; the TEA"),
    *("The wool jumper", "A jumper of the sheep's wool", "Wool, the warm jumper"),
    "the",
]


def test_the_words_of_a_code_are_its_own_and_not_everybodys() -> None:
    codes = np.array([[-1], [2], [2], [2], [0], [0], [0], [5]], np.int32)
    found = words_of_codes(told_apart(codes, (6,)), TEXTS, top=3)
    assert list(found) == [0, 2, 5]
    assert found[0][:2] in (["jumper", "wool"], ["wool", "jumper"])
    assert set(found[2]) == {"tea", "iron", "kettle"}
    assert found[2][0] == "tea"
    assert "the" not in found[0][:2] + found[2], "most texts have it"
    assert found[5] == [], "one text is no evidence"


def test_a_word_counts_once_a_text() -> None:
    texts = ["", "tea tea tea tea", "cup saucer", "cup saucer", "tea", "x1", "x2"]
    codes = np.array([[-1], [0], [0], [0], [1], [1], [1]], np.int32)
    assert words_of_codes(told_apart(codes, (2,)), texts)[0] == ["cup", "saucer"]


def test_items_without_codes_have_no_part() -> None:
    codes = np.array([[-1], [0], [0], [-1]], np.int32)
    assert words_of_codes(told_apart(codes, (1,)), ["", "a b", "a b", "lost lost"]) == {0: []}
