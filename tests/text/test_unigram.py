"""Unigram cuts beside every cut there is."""

from collections import Counter
from itertools import product
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError
from headrace.text.unigram import Unigram, _lines, train_unigram
from tests.text.samples import TEXTS

LEARNED = [("▁", -2.0), ("a", -1.0), ("b", -1.5), ("ab", -2.0), ("▁a", -2.5), ("▁ab", -4.2), ("ba", -2.25), ("aab", -3.0)]
KIND = Unigram(LEARNED)
SCORES = dict(LEARNED)


def cuts(text: str) -> dict[tuple[str, ...], float]:
    """Every cut into pieces and its score."""
    found = {}
    for marks in product([False, True], repeat=max(len(text) - 1, 0)):
        ends = [place + 1 for place, mark in enumerate(marks) if mark] + [len(text)]
        cut = tuple(text[begin:end] for begin, end in zip([0, *ends], ends, strict=False))
        if all(piece in SCORES for piece in cut):
            found[cut] = sum(SCORES[piece] for piece in cut)
    return found


def pieces_of(ids: list[int]) -> tuple[str, ...]:
    return tuple(LEARNED[id - 256][0] for id in ids)


@given(text=st.text("ab ", min_size=1, max_size=8))
@settings(deadline=None)
def test_the_cut_is_the_most_probable(text):
    all_cuts = cuts("▁" + text.replace(" ", "▁"))
    chosen = pieces_of(KIND.encode([text]).ids.tolist())
    assert all_cuts[chosen] == pytest.approx(max(all_cuts.values()), abs=1e-5)  # the library adds in float32


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_cuts_are_drawn_by_a_power_of_their_probability(alpha):
    n = 4_000
    all_cuts = cuts("▁ab")
    assert len(all_cuts) == 4
    total = sum(exp(alpha * score) for score in all_cuts.values())
    drawn = KIND.sample(["ab"] * n, alpha, 3)
    found = [pieces_of(drawn.document(number).tolist()) for number in range(n)]
    for cut, score in all_cuts.items():
        chance = exp(alpha * score) / total
        assert found.count(cut) / n == pytest.approx(
            chance, abs=4 * (chance * (1 - chance) / n) ** 0.5
        )  # four standard deviations


def test_a_character_that_is_no_piece_is_read_as_its_bytes():
    assert KIND.encode(["a日"]).ids.tolist() == [256 + 4, *"日".encode()]


def test_it_learns_words_and_what_they_end_in():
    kind = train_unigram(TEXTS, 320, 0.9995)
    learned = {piece for piece, _ in kind.learned}
    assert len(kind.pieces.all) == 320
    assert {"▁and", "▁the", "▁in"} <= learned
    assert all("▁" not in piece[1:] for piece in learned)


def test_lines_keep_each_words_count():
    counts = [(" the", 9), (" film", 4), ("!", 3), (" rare", 2)]
    found: Counter[str] = Counter()
    for line in _lines(counts):
        words, count = line.split("\t")
        for word, _ in counts:
            found[word] += int(count) * words.count(word)
    assert list(found.items()) == counts


def test_too_few_tokens_for_the_characters_are_said():
    letters = ["".join(chr(0x4E00 + number) for number in range(begin, begin + 40)) for begin in range(0, 400, 40)]
    with pytest.raises(ConfigError, match=r"unigram tokenizer of 300 tokens: [^$]*set size to more"):
        train_unigram(letters, 300, 1.0)
