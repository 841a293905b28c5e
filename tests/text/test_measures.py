"""What a language costs."""

from math import log

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.data.tokens import Tokens
from headrace.text.measures import alp, by_language, overlap
from headrace.text.tokenizer import TokenizerConfig, train_tokenizer
from tests.text.samples import TEXTS, small

# ids 0 and 1 stand twice each: p = 1/2; documents of three tokens and of one
TOKENS = Tokens(np.array([0, 0, 1, 1], np.int32), np.array([0, 3, 4]))


def test_alp_by_hand():
    assert alp(TOKENS, TOKENS, size=3) == pytest.approx((3 * log(1 / 2) + log(1 / 2)) / 2)
    other = Tokens(np.array([0, 2], np.int32), np.array([0, 2]))
    # counts 1.5, 0.5, 1.5 of 3.5
    wanted = (2 * log(1.5 / 3.5) + log(0.5 / 3.5) + log(0.5 / 3.5)) / 2
    assert alp(TOKENS, other, size=3, delta=0.5) == pytest.approx(wanted)
    with pytest.raises(DataError, match="Set delta"):
        alp(TOKENS, other, size=3)


def test_alp_rises_with_the_vocabulary():
    kinds = [train_tokenizer(TEXTS, TokenizerConfig(kind="bpe", size=size)) for size in (270, 300, 340, 380)]
    found = [by_language(kind, {"all": TEXTS})["alp"].item() for kind in kinds]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_by_language():
    found = by_language(small("bytes"), {"en": ["abc", "a"], "ja": ["日"]})
    assert found.select("language", "documents", "bytes", "tokens", "used").rows() == [("en", 2, 4, 4, 3), ("ja", 1, 3, 3, 3)]
    assert found["tokens_per_byte"].to_list() == found["bytes_per_token"].to_list() == [1.0, 1.0]
    with pytest.raises(DataError, match='"xx" has 1 texts and no character'):
        by_language(small("bytes"), {"xx": [""]})


def test_overlap_is_the_share_of_ids_that_both_use():
    found = overlap(small("bytes"), {"x": ["abc"], "y": ["bcd"], "z": ["q"]})
    assert found.rows() == [("x", 1.0, 0.5, 0.0), ("y", 0.5, 1.0, 0.0), ("z", 0.0, 0.0, 1.0)]
