"""Rows against the examples they were packed of: each whole, once an epoch, its places and targets its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.data.packed_rows import IGNORED, PADDING, PackedRows, packed
from headrace.data.tokens import Tokens
from headrace.testing import check_batches

LENGTHS = [3, 7, 2, 9, 9, 4, 5, 1, 6]


def rows(lengths=LENGTHS, *, length=10, batch_size=2, seed=0):
    documents = [np.arange(100 * place, 100 * place + n, dtype=np.int32) for place, n in enumerate(lengths, 1)]
    tokens = Tokens.of(documents)
    learned = tokens.ids % 2 == 1
    return PackedRows(tokens, learned, length=length, batch_size=batch_size, seed=seed)


def test_contract():
    check_batches(rows())


def test_every_example_is_whole_and_seen_once_an_epoch():
    of = rows()
    for epoch in range(3):
        seen = []
        for batch in of.epoch(epoch):
            ids, targets, positions, documents = (batch[name].numpy() for name in ("ids", "targets", "positions", "documents"))
            for document in set(documents.ravel().tolist()) - {PADDING}:
                seen.append(document)
                row = int(np.flatnonzero((documents == document).any(1))[0])
                own = documents[row] == document
                wanted = of.tokens.document(document)
                assert ids[row, own].tolist() == wanted.tolist()
                assert positions[row, own].tolist() == list(range(len(wanted)))
                assert targets[row, own].tolist() == [*np.where(wanted[1:] % 2 == 1, wanted[1:], IGNORED), IGNORED]
            assert (targets[documents == PADDING] == IGNORED).all()
        assert sorted(seen) == list(range(len(LENGTHS)))


def test_a_batch_is_as_wide_as_its_longest_row():
    of = rows([4, 4, 4, 4], length=100)
    assert [tuple(batch["ids"].shape) for batch in of.epoch(0)] == [(1, 16)]
    assert len(rows(batch_size=2).epoch(0)) == 3, "five rows: the last batch has one"


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=40))
def test_packing_is_a_partition_that_fits(lengths):
    found = packed(np.array(lengths), 12)
    assert sorted(document for row in found for document in row) == list(range(len(lengths)))
    filled = [sum(lengths[document] for document in row) for row in found]
    assert max(filled) <= 12
    assert sum(one <= 6 for one in filled) <= 1, "two rows that are half empty would have been one"


def test_an_example_longer_than_a_row_is_refused_by_number():
    with pytest.raises(DataError, match="2 of 9 examples are longer than a row of 8 tokens; the first is number 3 with 9"):
        rows(length=8)
