import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from headrace.nn.attention import table as table_module
from headrace.nn.attention.attend import attend
from headrace.nn.attention.masks import BlockSparse, Causal, MaskSpec
from headrace.nn.attention.patterns import BlockPattern
from headrace.nn.attention.table import table, walked
from tests.nn.attention.test_strided import patterns

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(table_module, "TILE", 4)
    table.cache_clear()
    yield
    table.cache_clear()


@settings(max_examples=25)
@given(patterns(), st.integers(1, 25), st.sampled_from([1, 2]))
def test_the_walk_is_the_dense_mask(pattern, length, group):
    """In float64 and so tightly; with gradients through it."""
    found = []
    for backend in ("dense", "walk"):
        draw = torch.Generator().manual_seed(length)
        q, k, v = (
            (2 * torch.randn(1, heads, length, 4, generator=draw, dtype=torch.float64)).requires_grad_()
            for heads in (pattern.heads * group, pattern.heads, pattern.heads)
        )
        if backend == "dense":
            out, lse = attend(q, k, v, MaskSpec(Causal(), BlockSparse(pattern)), need_lse=True, backend="dense")
        else:
            out, lse = walked(q, k, v, table(pattern, length, CPU))
        assert lse is not None
        (out.sin().sum() + lse.cos().sum()).backward()
        found.append([out.detach(), lse.detach(), q.grad, k.grad, v.grad])
    for one, other in zip(*found, strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-9)


@settings(max_examples=30)
@given(patterns(), st.integers(1, 50))
def test_both_ways_list_the_pattern(pattern, length):
    of, n = table(pattern, length, CPU), -(-length // pattern.block)
    number = torch.arange(n)
    wanted = pattern.allowed(number.view(1, n, 1), number.view(1, 1, n), pattern.heads)
    by_query, by_key = torch.zeros_like(wanted), torch.zeros_like(wanted)
    for head in range(pattern.heads):
        for listed, found, other_first in ((of.by_query, by_query, False), (of.by_key, by_key, True)):
            starts = listed.starts[head].tolist()
            for row in range(len(starts) - 1):
                for entry in range(starts[row], starts[row + 1]):
                    other = int(listed.others[entry])
                    tile, key = (other, row) if other_first else (row, other)
                    for place in range(of.merged):
                        if int(listed.bits[entry]) >> place & 1:
                            found[head, tile * of.merged + place, key] = True
    assert torch.equal(by_query, wanted)
    assert torch.equal(by_key, wanted)


def test_an_entry_is_a_block_that_a_tile_needs_and_no_more():
    """Blocks of 2, tiles of 2 blocks, heads that keep even and odd blocks: counted by hand for the third tile, blocks 4 and 5."""
    of = table(BlockPattern(2, 1, 2, 2), 12, CPU)
    starts = of.by_query.starts
    even = slice(*starts[0, 2:4].tolist())
    assert of.by_query.others[even].tolist() == [0, 2, 4, 5]
    assert of.by_query.bits[even].tolist() == [0b11, 0b11, 0b11, 0b10]
    odd = slice(*starts[1, 2:4].tolist())
    assert of.by_query.others[odd].tolist() == [1, 3, 4, 5]
    assert of.by_query.bits[odd].tolist() == [0b11, 0b11, 0b01, 0b10]
    assert all(part.dtype == torch.int32 for part in (*of.by_query, *of.by_key))
