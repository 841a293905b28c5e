import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.nn.seeded import seeded
from headrace.nn.tables import CappedEmbedding, FieldTable, HashedEmbedding, TableConfig, coefficients, hashed, item_table


def in_common(rows):
    """The share of ids whose row is another's too."""
    _, number, counts = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
    return float((counts[number] > 1).double().mean())


def test_a_hash_is_its_polynomial_and_stays_what_it_is():
    polynomial = coefficients(0, 0)
    ids = torch.tensor([1, 2, 1000, 2**31 - 2])
    a, b, c, d = polynomial
    assert hashed(ids, polynomial).tolist() == [(a * i**3 + b * i**2 + c * i + d) % (2**31 - 1) for i in ids.tolist()]
    assert hashed(ids.int(), polynomial).equal(hashed(ids, polynomial))
    table = HashedEmbedding(1000, 2, hashes=2)
    assert [rows.tolist() for rows in table.rows(torch.tensor([0, 1, 2, 3]))] == [[0, 890, 450, 456], [0, 993, 692, 931]]


@pytest.mark.parametrize("start", [1, 10_000_000])
@pytest.mark.parametrize("load", [0.1, 1.0, 3.0])
def test_collisions_are_those_of_draws(start, load):
    """Of 50,000 ids in a row: the share is off by less than 5 standard errors of independent ids' own."""
    ids = torch.arange(start, start + 50_000)
    rows = round(len(ids) / load)
    wanted = 1 - (1 - 1 / rows) ** (len(ids) - 1)
    (found,) = HashedEmbedding(rows, 1).rows(ids)
    assert abs(in_common(found) - wanted) < 5 * math.sqrt(wanted / len(ids))
    assert 1 <= int(found.min()) < int(found.max()) <= rows


def test_two_hashes_leave_hardly_two_ids_alike():
    ids = torch.arange(1, 50_001)
    both = torch.stack(HashedEmbedding(5_000, 1, hashes=2).rows(ids), -1)
    assert in_common(both[:, :1]) > 0.99
    expected = 50_000 / 5_000**2
    assert in_common(both) < 5 * expected


@settings(max_examples=40)
@given(ids=st.lists(st.integers(1, 2**31 - 2), min_size=1, max_size=20), rows=st.integers(1, 50), hashes=st.sampled_from([1, 2]))
def test_an_id_is_the_sum_of_its_rows_and_id_0_is_zero(ids, rows, hashes):
    table = HashedEmbedding(rows, 3, hashes=hashes)
    asked = torch.tensor([0, *ids])
    found = table(asked)
    assert not found[0].any()
    assert_close(found, torch.stack([table.weight[one] for one in table.rows(asked)]).sum(0))


@pytest.mark.parametrize("hashes", [1, 2])
def test_a_sparse_gradient_is_the_dense_one_and_leaves_id_0_alone(hashes):
    ids, grads = torch.tensor([[0, 7, 7], [9, 0, 11]]), []
    for sparse in (False, True):
        with seeded(0, "tables"):
            table = HashedEmbedding(6, 3, hashes=hashes, sparse=sparse)
        table(ids).square().sum().backward()
        assert table.weight.grad is not None
        assert table.weight.grad.is_sparse == sparse
        grads.append(table.weight.grad.to_dense())
    assert_close(*grads)
    assert not grads[0][0].any()


@pytest.mark.parametrize("own", [0, 1000])
def test_what_is_rare_shares_the_tail_and_so_does_what_is_new(own):
    table = CappedEmbedding(6, 2, 4, TableConfig(hashed=own, least=3))
    table.hold(torch.tensor([False, True, False, True, False, False]))
    found = table(torch.tensor([0, 1, 2, 3, 4, 5, 6, 10**6]))
    assert not found[0].any()
    assert not found[1].equal(found[3])
    for rare in (4, 5, 6, 7):
        assert found[rare].equal(found[2])
        assert not found[rare].equal(found[1])
    assert table.own.num_embeddings == (own or 2) + 1
    assert table.place.tolist() == ([0, 1, 0, 3, 0, 0] if own else [0, 1, 0, 2, 0, 0])


def test_a_longer_tail_tells_some_of_the_rare_apart():
    table = CappedEmbedding(1, 0, 2, TableConfig(least=1, tail=8))
    assert len(table(torch.arange(1, 200)).unique(dim=0)) == 8


def test_fields_are_looked_up_at_once():
    table = FieldTable([3, 1, 4], 2)
    codes = torch.tensor([[2, 0, 3], [0, 0, 0]])
    assert table(codes).equal(table.table.weight[torch.tensor([[2, 3, 7], [0, 3, 4]])])
    shared = FieldTable([300, 100, 400], 2, hashed=5_000)
    assert shared(torch.zeros(3, dtype=torch.long)).any(1).all(), "code 0 of a field is somebody's"
    assert len(shared(torch.zeros(1, 3, dtype=torch.long)).flatten(0, 1).unique(dim=0)) == 3
    assert (list(shared.state_dict()), shared.table.weight.shape) == (["table.weight"], (5_001, 2))


def test_items_have_a_row_each_unless_told():
    assert type(item_table(9, 0, 4, TableConfig())) is nn.Embedding
    assert item_table(9, 0, 4, TableConfig(sparse=True)).sparse is True
    assert type(item_table(9, 0, 4, TableConfig(hashed=5))) is HashedEmbedding
    assert type(item_table(9, 3, 4, TableConfig(hashed=5, least=2))) is CappedEmbedding


def test_settings_that_say_nothing_are_refused():
    for asked, said in (({"hashes": 2}, "hashes = 2 are of a hashed table"), ({"tail": 4}, "tail = 4 rows are for rare items")):
        with pytest.raises(ConfigError, match=said):
            parse(TableConfig, asked, where="shop.toml [rank.dcnv2.table]")
    with pytest.raises(ConfigError, match=r'"hashs" is not a key. Did you mean "hashes"'):
        parse(TableConfig, {"hashs": 2}, where="shop.toml [rank.dcnv2.table]")
