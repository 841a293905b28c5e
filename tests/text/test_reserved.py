"""Ids that stand for no text."""

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from tests.text.samples import small

TOKENIZER = small("bytes")


def test_each_has_an_id_of_its_own_and_a_name():
    found = [
        *range(5), TOKENIZER.special("<image>"), *map(TOKENIZER.sentinel, range(3)),
        *map(TOKENIZER.language, ("en", "de", "pt-BR")),
        *(TOKENIZER.code("item", level, value) for level in range(2) for value in range(4)),
        *(TOKENIZER.code("film", 0, value) for value in range(3)),
    ]  # fmt: skip
    assert found == list(range(TOKENIZER.reserved))
    assert TOKENIZER.token(TOKENIZER.code("item", 1, 2)) == "<item:1:2>"
    assert TOKENIZER.special("<mask>") == TOKENIZER.mask


def test_semantic_ids_as_ids_and_back():
    values = np.array([[0, 3], [2, 1]])
    ids = TOKENIZER.codes("item", values)
    assert ids.dtype == np.int32
    assert ids.tolist() == [[TOKENIZER.code("item", level, row[level]) for level in range(2)] for row in values.tolist()]
    level, value = TOKENIZER.values("item", ids)
    assert level.tolist() == [[0, 1], [0, 1]]
    assert value.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: TOKENIZER.sentinel(3), "Sentinel 3 of 3"),
        (lambda: TOKENIZER.sentinel(-1), "Sentinel -1 of 3"),
        (lambda: TOKENIZER.language("pt-PT"), 'Did you mean "pt-BR"'),
        (lambda: TOKENIZER.special("image"), 'Did you mean "<image>"'),
        (lambda: TOKENIZER.code("items", 0, 0), 'Did you mean "item".* It has: item, film'),
        (lambda: TOKENIZER.code("item", 2, 0), "levels 0 to 1 and values 0 to 3"),
        (lambda: TOKENIZER.codes("item", np.array([[0, 4]])), "levels 0 to 1 and values 0 to 3"),
        (lambda: TOKENIZER.values("film", np.array([TOKENIZER.code("item", 1, 3)])), 'Codes "film" are the ids 20 to 22'),
    ],
)
def test_what_is_wrong_is_said(call, says):
    with pytest.raises(ConfigError, match=says):
        call()
