"""Byte-pair encoding beside the library's, and drawing from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, models, pre_tokenizers
from tokenizers import Tokenizer as Library

from headrace.contracts.requests import Int64
from headrace.data.tokens import Tokens
from headrace.text import words
from headrace.text.bpe import BPE, _letters, train_bpe
from headrace.text.merges import Merges
from tests.text.samples import TEXTS

LEARNED = train_bpe(TEXTS, 400)


def library(kind: BPE) -> Library:
    letters = _letters()
    names = ["".join(letters[byte] for byte in piece) for piece in kind.pieces.all]
    merges = [(names[left], names[right]) for left, right in kind.pairs]
    made = Library(models.BPE(vocab={name: place for place, name in enumerate(names)}, merges=merges))
    cut = pre_tokenizers.Split(Regex(kind.pattern), behavior="isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return made


PEER = library(LEARNED)


def test_letters_are_the_librarys_alphabet():
    assert sorted(_letters()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert cut.pre_tokenize_str(" é\n")[0][0] == "".join(_letters()[byte] for byte in " é\n".encode())


@given(some=st.lists(st.text("abenthi sküIn1'.!\n日😀", max_size=40), max_size=6))
@settings(deadline=None, max_examples=40)
def test_it_reads_as_the_library_does(some):
    assert _documents(LEARNED.encode(some)) == [found.ids for found in PEER.encode_batch(some)]


def test_many_texts_are_read_as_the_library_does(monkeypatch):
    wanted = [found.ids for found in PEER.encode_batch(TEXTS)]
    assert _documents(LEARNED.encode(TEXTS)) == wanted
    monkeypatch.setattr(words, "_AT_ONCE", 1_000)  # in portions, each with few words
    assert _documents(LEARNED.encode(TEXTS)) == wanted


def test_size_is_kept_or_the_texts_have_no_more():
    assert len(LEARNED.pieces.all) == 400
    assert len(set(LEARNED.pieces.all)) == 400
    assert len(train_bpe(["ab ab"], 400).pieces.all) == 256 + 1  # "ab"; " ab" stands once


def test_a_pair_that_overlaps_itself_is_joined_from_the_left():
    merges = Merges(np.array([[97, 97]]), np.array([256]))
    found = merges.apply(Tokens(np.array([97] * 5 + [97] * 2, np.int32), np.array([0, 5, 5, 7])))
    assert _documents(found) == [[256, 256, 97], [], [256]]


A, B, C, AB, BC, ABC = 97, 98, 99, 256, 257, 258
PAIRS: Int64 = np.array([[A, B], [B, C], [AB, C], [A, BC]])


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_dropout_draws_each_cut_with_its_chance(p):
    n, q = 40_000, 1 - p
    merges = Merges(PAIRS, np.array([AB, BC, ABC, ABC]))
    drawn = merges.apply(Tokens(np.tile([A, B, C], n).astype(np.int32), np.arange(n + 1) * 3), p, np.random.default_rng(0))
    # ab is tried first, then bc; what is left of the word is tried once more
    wanted = {(ABC,): q * q + p * q * q, (AB, C): q * p, (A, BC): p * q * p, (A, B, C): p * p}
    found = dict.fromkeys(wanted, 0.0)
    for cut in map(tuple, _documents(drawn)):
        found[cut] += 1 / n
    for cut, chance in wanted.items():
        assert found[cut] == pytest.approx(chance, abs=4 * (0.25 / n) ** 0.5)  # four standard deviations at most


def test_no_dropout_is_encode_and_full_dropout_is_bytes():
    assert _documents(LEARNED.sample(TEXTS, 0.0, 1)) == _documents(LEARNED.encode(TEXTS))
    assert LEARNED.sample(TEXTS, 1.0, 1).ids.max() < 256


def test_two_pairs_that_spell_one_token_make_one():
    kind = BPE([[A, B], [256, C], [B, C], [A, 258]], words.PATTERN)
    assert [piece.decode() for piece in kind.pieces.all[256:]] == ["ab", "abc", "bc"]


def _documents(tokens: Tokens) -> list[list[int]]:
    return [tokens.document(number).tolist() for number in range(len(tokens))]
