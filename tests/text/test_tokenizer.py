"""What every kind of tokenizer keeps."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import ArtifactError, ConfigError, DataError
from headrace.data.tokens import Tokens
from headrace.text.config import ALWAYS
from headrace.text.tokenizer import Tokenizer, TokenizerConfig, train_tokenizer
from tests.text import samples
from tests.text.samples import KINDS, TEXTS, small

kinds = pytest.mark.parametrize("kind", KINDS)
sampled = pytest.mark.parametrize("kind", KINDS[1:])
HARD = [
    "",
    " ",
    "  a  b ",
    "\n\n\t x\r\n",
    "a\x00b\x01\x7f",
    "e\u0301 日本語 👨‍👩‍👧",
    "\u2028\u200b\ufeff",
    "don't 123456",
    "<0x41> ⁇ Ġ",
]
texts = st.lists(st.text(max_size=20) | st.text("ab '1é日😀\n\x00<▁", max_size=20), max_size=5)


def read_back(kind: str, some: list[str]) -> list[str]:
    return [text.replace("\u2581", " ") for text in some] if kind == "unigram" else some


@kinds
@given(some=texts)
@settings(deadline=None, max_examples=40)
def test_any_text_is_read_back(kind, some):
    tokenizer = small(kind)
    assert tokenizer.decode(tokenizer.encode(some)) == read_back(kind, some)
    assert tokenizer.decode(tokenizer.encode(some, bos=True, eos=False, language="de")) == read_back(kind, some)


@kinds
def test_hard_texts_are_read_back(kind):
    assert small(kind).decode(small(kind).encode(HARD)) == HARD
    assert small(kind).encode([]).offsets.tolist() == [0]


@sampled
@given(some=texts, alpha=st.floats(0, 1), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_a_drawn_cut_is_read_back_and_keeps_to_its_seed(kind, some, alpha, seed):
    tokenizer = small(kind)
    drawn = tokenizer.encode(some, alpha=alpha, seed=seed)
    assert tokenizer.decode(drawn) == read_back(kind, some)
    assert drawn.ids.tolist() == tokenizer.encode(some, alpha=alpha, seed=seed).ids.tolist()


@sampled
def test_another_seed_draws_another_cut(kind):
    tokenizer = small(kind)
    first, second = (tokenizer.encode(TEXTS[:50], alpha=0.3, seed=seed) for seed in (1, 2))
    assert first.ids.tolist() != second.ids.tolist()
    assert len(first.ids) > len(tokenizer.encode(TEXTS[:50]).ids)


@kinds
def test_text_that_looks_like_a_reserved_id_is_text(kind):
    tokenizer = small(kind)
    names = [tokenizer.token(number) for number in range(tokenizer.reserved)]
    assert {*ALWAYS, "<image>", "<sentinel:2>", "<language:pt-BR>", "<item:1:3>"} <= set(names)
    tokens = tokenizer.encode(names, eos=False)
    assert tokens.ids.min() >= tokenizer.reserved
    assert tokenizer.decode(tokens) == names


@kinds
@given(some=texts)
@settings(deadline=None, max_examples=40)
def test_spans_follow_the_text(kind, some):
    tokenizer = small(kind)
    some = read_back(kind, some)
    tokens, spans = tokenizer.encode_with_offsets(some, bos=True, eos=True)
    assert tokens.ids.tolist() == tokenizer.encode(some, bos=True).ids.tolist()
    for number, text in enumerate(some):
        begin, end = tokens.offsets[number], tokens.offsets[number + 1]
        of = spans[begin:end].tolist()
        assert of[0] == [0, 0]
        assert of[-1] == [len(text), len(text)]
        assert all(before[0] <= here[0] <= before[1] <= here[1] for before, here in pairwise(of[:-1]))
        assert not text or of[-2][1] == len(text)
        pieces = [_piece(tokenizer, id) for id in tokens.ids[begin:end].tolist()]
        for (start, stop), piece in zip(of[1:-1], pieces[1:-1], strict=True):
            if "\ufffd" not in piece:
                assert text[start:stop] == piece or (start == 0 and text[start:stop] == piece.removeprefix(" "))
            else:
                assert start < stop


def _piece(tokenizer: Tokenizer, number: int) -> str:
    """Its text, with the space that a first one is led by."""
    return (
        tokenizer._kind.pieces.all[number - tokenizer.reserved].decode(errors="replace") if number >= tokenizer.reserved else ""
    )


@kinds
def test_the_same_texts_in_any_order_give_the_same_hash(kind):
    again = train_tokenizer(reversed(TEXTS), samples.settings(kind))
    assert again.hash == small(kind).hash
    assert len(again.hash) == 64
    other = train_tokenizer(TEXTS[:200], samples.settings(kind))
    assert (other.hash == again.hash) == (kind == "bytes")  # which learn nothing
    assert train_tokenizer(TEXTS, samples.settings(kind, sentinels=4)).hash != again.hash


def test_another_process_learns_the_same():
    code = "from tests.text.samples import *; print(*(small(kind).hash for kind in KINDS))"
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert ran.stdout.split() == [small(kind).hash for kind in KINDS]


@kinds
def test_saved_and_loaded_it_is_the_same(kind, tmp_path):
    tokenizer = small(kind)
    tokenizer.save(tmp_path / "sub" / "tokenizer.json")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["tokenizer.json"]
    loaded = Tokenizer.load(tmp_path / "sub" / "tokenizer.json", hash=tokenizer.hash)
    assert (loaded.hash, loaded.size, loaded.config) == (tokenizer.hash, tokenizer.size, tokenizer.config)
    assert loaded.encode(TEXTS[:50] + HARD).ids.tolist() == tokenizer.encode(TEXTS[:50] + HARD).ids.tolist()


def test_another_tokenizer_than_expected_is_refused_with_both_names(tmp_path):
    small("bytes").save(tmp_path / "t.json")
    with pytest.raises(ArtifactError, match=f"is tokenizer {small('bytes').hash}, expected {small('bpe').hash}"):
        Tokenizer.load(tmp_path / "t.json", hash=small("bpe").hash)


@kinds
def test_sizes(kind):
    tokenizer = small(kind)
    assert tokenizer.size == (tokenizer.reserved + 256 if kind == "bytes" else samples.SIZE)
    assert tokenizer.reserved == 5 + 1 + 3 + 3 + 8 + 3
    tokens = tokenizer.encode(TEXTS, eos=False)
    led = len(TEXTS) if kind == "unigram" else 0
    assert tokenizer.token_bytes[tokens.ids].sum() == sum(len(text.encode()) for text in TEXTS) + led
    assert tokenizer.token_bytes[: tokenizer.reserved].tolist() == [0] * tokenizer.reserved


def test_ids_before_and_behind():
    tokenizer = small("bytes")
    tokens = tokenizer.encode(["ab", ""], bos=True, language=["de", "en"])
    a, b = (tokenizer.reserved + ord(letter) for letter in "ab")
    assert tokens.document(0).tolist() == [tokenizer.bos, tokenizer.language("de"), a, b, tokenizer.eos]
    assert tokens.document(1).tolist() == [tokenizer.bos, tokenizer.language("en"), tokenizer.eos]
    assert tokens.ids.dtype == np.int32
    assert (tokenizer.pad, tokenizer.bos, tokenizer.eos, tokenizer.mask, tokenizer.unknown) == (0, 1, 2, 3, 4)


def test_bytes_that_are_no_text_are_marked():
    tokenizer = small("bpe")
    ids = np.array([tokenizer.mask, tokenizer.reserved + 0xFF, tokenizer.reserved + ord("a")], np.int32)
    assert tokenizer.decode(Tokens(ids, np.array([0, 3]))) == ["\ufffda"]
    assert tokenizer.token(tokenizer.reserved + 0xFF) == "\\xff"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: t.encode("one"), "given one string"),
        (lambda t: t.encode(["a", None]), "Text 1 of 2 is a NoneType"),
        (lambda t: t.encode(["a\ud800"]), "half a character at place 1"),
        (lambda t: t.encode(["a"], language="dee"), '"dee" is no language of this tokenizer. Did you mean "de"'),
        (lambda t: t.encode(["a"], language=["en", "de"]), "2 languages for 1 texts"),
        (lambda t: t.encode(["a"], alpha=0.1), "alpha 0.1 with seed None"),
        (lambda t: t.encode(["a"], seed=1), "alpha None with seed 1"),
        (lambda t: t.encode(["a"], alpha=1.5, seed=1), "a chance, 0 to 1"),
        (lambda t: small("unigram").encode(["a"], alpha=-1, seed=1), "0 or more"),
        (lambda t: small("bytes").encode(["a"], alpha=0.1, seed=1), "one way only"),
        (lambda t: t.decode(Tokens(np.array([350], np.int32), np.array([0, 1]))), "Id 350 is not one of .* has 0 to 349"),
        (lambda t: t.token(-1), "Id -1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(call, says):
    with pytest.raises((ConfigError, DataError), match=says):
        call(small("bpe"))


def test_no_texts_can_teach_no_pieces():
    with pytest.raises(DataError, match="the texts have no words"):
        train_tokenizer([" ", ""], TokenizerConfig(kind="unigram", size=400))
    assert train_tokenizer([], TokenizerConfig(kind="bpe", size=400)).size == 261
