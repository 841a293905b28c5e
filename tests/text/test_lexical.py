import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from, text, tuples

from headrace.text.lexical import K1, B, Lexical, words_of

TEXTS = ["", "red wool socks", "blue wool hat, warm wool", "a steel pot", "socks"]


def by_hand(texts, query):
    """The formula, document by document."""
    said = words_of(texts)
    mean = np.mean([len(words) for words in said])
    scores = np.zeros(len(texts))
    for word in set(words_of([query])[0]):
        having = sum(word in words for words in said)
        idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
        for number, words in enumerate(said):
            tf = words.count(word)
            scores[number] += idf * tf / (tf + K1 * (1 - B + B * len(words) / mean))
    return scores


@pytest.mark.parametrize("query", ["wool", "warm socks", "wool wool", "steel, POT!", "nothing of it", "", "!?"])
def test_scores_are_the_formula_s(query):
    np.testing.assert_allclose(Lexical.of(TEXTS).scores(query), by_hand(TEXTS, query), atol=1e-6)


def test_words_of_any_script():
    assert words_of(["\uff37ool Café x-ray_2", "東京 タワー", "", "a" * 99])[0] == ["wool", "café", "x", "ray_2"]
    assert words_of(["東京タワー x1"])[0][:3] == ["東", "京", "タ"]
    assert len(words_of(["a" * 99])[0][0]) == 64


def test_what_is_put_again_says_the_new_words_alone_and_what_is_removed_nothing():
    index = Lexical.of(TEXTS)
    index.put(1, "green linen")
    index.put(9, "wool blanket")
    index.remove(2)
    assert len(index) == 10
    assert np.flatnonzero(index.scores("wool")).tolist() == [9]
    assert np.flatnonzero(index.scores("linen socks")).tolist() == [1, 4]
    assert index.matched("warm linen socks", [4, 1, 2, 9]) == [["socks"], ["linen"], [], []]
    index.put(2, "warm again")
    index.remove(9)
    assert np.flatnonzero(index.scores("warm wool")).tolist() == [2]


def test_a_document_that_came_later_is_scored_nearly_as_if_it_had_been_there():
    texts = [f"word{n % 7} word{n % 11} thing" for n in range(200)]
    later, whole = Lexical.of(texts), Lexical.of([*texts, "word3 thing"])
    later.put(200, "word3 thing")
    np.testing.assert_allclose(later.scores("word3 thing")[200], whole.scores("word3 thing")[200], rtol=0.01)


def test_it_is_the_same_from_its_files(tmp_path):
    for name, texts in (("some", TEXTS), ("empty", ["", "!"])):
        folder = tmp_path / name
        folder.mkdir()
        made = Lexical.of(texts)
        made.save(folder)
        read = Lexical.load(folder)
        np.testing.assert_array_equal(made.scores("wool socks"), read.scores("wool socks"))
        read.put(0, "wool")
        assert read.matched("wool", [0]) == [["wool"]]


@settings(max_examples=50)
@given(
    texts=lists(text(max_size=30), max_size=6),
    moves=lists(tuples(integers(0, 8), sampled_from(["wool", "socks wool", "", "\x00\u202e 🧦", None])), max_size=8),
)
def test_any_texts_and_moves_leave_what_a_fresh_index_would_find(texts, moves):
    index, now = Lexical.of(texts), dict(enumerate(texts))
    for number, said in moves:
        if said is None:
            index.remove(number)
            now.pop(number, None)
        else:
            index.put(number, said)
            now[number] = said
    for query in ("wool", "socks 🧦", *texts):
        asked = set(words_of([query])[0])
        expected = [number for number, said in sorted(now.items()) if asked & set(words_of([said])[0])]
        assert np.flatnonzero(index.scores(query)).tolist() == expected
        assert all(index.matched(query, expected))
