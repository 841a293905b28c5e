from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from headrace.nn.attention import gathered as gathered_module
from headrace.nn.attention.attend import attend
from headrace.nn.attention.dense import merge
from headrace.nn.attention.masks import BlockSparse, Blockwise, Causal, Documents, MaskSpec, Prefix, Present, Window
from headrace.nn.attention.patterns import BlockPattern
from headrace.nn.attention.places import Places, Span
from headrace.nn.positions.relative import RelativeBias


def tensors(rows=2, heads=4, groups=2, length=40, width=8, seed=0):
    draw = torch.Generator().manual_seed(seed)
    q = torch.randn(rows, heads, length, width, generator=draw)
    return q, *(torch.randn(rows, groups, length, width, generator=draw) for _ in range(2))


def reference(q, k, v, seen):
    """The formula in float64, one pair of rows and heads at a time; seen(row, head, i, j) -> bool."""
    rows, heads, length, width = q.shape
    out, lse = torch.zeros(q.shape, dtype=torch.float64), torch.full(q.shape[:3], -torch.inf, dtype=torch.float64)
    group = heads // k.shape[1]
    for row in range(rows):
        for head in range(heads):
            scores = (q[row, head].double() @ k[row, head // group].double().T) / width**0.5
            for i in range(length):
                kept = [j for j in range(k.shape[2]) if seen(row, head, i, j)]
                if kept:
                    out[row, head, i] = scores[i, kept].softmax(0) @ v[row, head // group, kept].double()
                    lse[row, head, i] = scores[i, kept].logsumexp(0)
    return out.float(), lse.float()


IDS = torch.tensor([[0] * 5 + [1] * 7, [0] * 2 + [1] * 3 + [2] * 7])
THERE = torch.arange(12) < torch.tensor([[12], [9]])
PATTERN = BlockPattern(2, 1, 2, 2)
MASKS = {
    "full": (MaskSpec(), lambda row, head, i, j: True),
    "causal": (MaskSpec(Causal()), lambda row, head, i, j: j <= i),
    "prefix": (MaskSpec(Prefix(torch.tensor([3, 0]))), lambda row, head, i, j: j <= i or j < [3, 0][row]),
    "window": (MaskSpec(Causal()) & Window(4), lambda row, head, i, j: i - 4 < j <= i),
    "both ways": (MaskSpec(Window(3)), lambda row, head, i, j: abs(i - j) < 3),
    "blockwise": (MaskSpec(Causal()) & Blockwise(3), lambda row, head, i, j: j <= i and j // 3 >= i // 3 - 1),
    "pattern": (
        MaskSpec(Causal()) & BlockSparse(PATTERN),
        lambda row, head, i, j: j <= i and (i // 2 == j // 2 or (j // 2 + head // 2) % 2 == 0),
    ),
    "documents": (MaskSpec(Causal()) & Documents(IDS), lambda row, head, i, j: j <= i and IDS[row, i] == IDS[row, j]),
    "present": (MaskSpec(Present(THERE)), lambda row, head, i, j: THERE[row, j]),
    "window of documents": (
        MaskSpec(Causal(), Window(4)) & MaskSpec(Documents(IDS)),
        lambda row, head, i, j: i - 4 < j <= i and IDS[row, i] == IDS[row, j],
    ),
    "nothing": (MaskSpec(Present(torch.zeros(2, 12, dtype=torch.bool))), lambda row, head, i, j: False),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_each_mask_is_the_formula(name):
    mask, seen = MASKS[name]
    q, k, v = tensors(length=12)
    wanted, lse = reference(q, k, v, seen)
    assert_close(attend(q, k, v, mask)[0], wanted, rtol=1e-4, atol=1e-5)
    out, found = attend(q, k, v, mask, need_lse=True)
    assert_close(out, wanted, rtol=1e-4, atol=1e-5)
    assert_close(found, lse, rtol=1e-4, atol=1e-5)


@st.composite
def sparse_masks(draw, length):
    rule = draw(
        st.one_of(
            st.builds(Window, st.integers(1, 30)),
            st.builds(Blockwise, st.integers(1, 20)),
            st.builds(
                BlockSparse,
                st.builds(
                    BlockPattern, st.sampled_from([1, 3, 8]), st.integers(1, 4), st.integers(1, 2), st.just(2), st.booleans()
                ),
            ),
        )
    )
    mask = MaskSpec(rule) if draw(st.booleans()) and not isinstance(rule, BlockSparse) else MaskSpec(Causal(), rule)
    ids = torch.arange(length) // torch.tensor([[7], [11]])
    return mask & Documents(ids) if draw(st.booleans()) else mask


@settings(max_examples=40)
@given(st.data(), st.integers(1, 40), st.sampled_from([4, 16]), st.booleans())
def test_gathered_blocks_are_the_dense_mask(data, length, tile, biased):
    """With gradients. Small tiles and blocks, so that there are several."""
    mask = data.draw(sparse_masks(length))
    bias = RelativeBias(4, 8, 8, 16, both_ways=True, gated=True) if biased else None
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathered_module, "TILE", tile)
        patch.setattr(gathered_module, "BLOCK", 4)
        gathered_module.plan.cache_clear()
        for backend in ("dense", "gathered"):
            q, k, v = parts = [x.requires_grad_() for x in tensors(length=length)]
            out, _ = attend(q, k, v, mask, bias=bias, backend=backend)
            out.square().sum().backward()
            found.append([out.detach(), *(part.grad for part in parts)])
        gathered_module.plan.cache_clear()
    for one, other in zip(*found, strict=True):
        assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("mask", [MaskSpec(Causal(), Window(9)), MaskSpec(Causal(), Blockwise(8))])
def test_rows_of_whole_blocks_are_gathered_from_heads_that_lie_across(mask):
    """As a body's do, whose heads are the last axis of one linear map: nothing is padded, so nothing is copied first."""
    q, k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in tensors(length=128))
    assert not k.is_contiguous()
    out, _ = attend(q, k, v, mask, backend="gathered")
    assert_close(out, attend(q, k, v, mask, backend="dense")[0])


def test_what_was_planned_for_serving_serves_training():
    mask = MaskSpec(Causal(), Window(5))
    q, k, v = tensors(length=37)
    with torch.inference_mode():
        attend(q, k, v, mask, backend="gathered")
    q.requires_grad_()
    attend(q, k, v, mask, backend="gathered")[0].sum().backward()
    assert q.grad is not None


def test_long_rows_are_gathered_by_themselves(monkeypatch):
    seen = []
    monkeypatch.setattr("headrace.nn.attention.attend.gathered", lambda *given, **more: seen.append(given[4]))
    q, k, v = tensors(1, 2, 2, 1024, 4)
    attend(q, k, v, MaskSpec(Causal(), Window(9)))
    attend(q[:, :, :999], k[:, :, :999], v[:, :, :999], MaskSpec(Causal(), Window(9)))
    attend(q, k, v, MaskSpec(Causal(), Window(700)))
    attend(q, k, v, MaskSpec(Causal(), BlockSparse(BlockPattern(16, 1, 2, 2))))
    assert seen == [gathered_module.BLOCK], "a short row and masks that leave more than half are dense"
    attend(q, k, v, MaskSpec(Causal(), BlockSparse(BlockPattern(16, 1, 4, 2, alike=True))))
    assert seen == [gathered_module.BLOCK, 16]
    with pytest.raises(ValueError, match="Gathered blocks need"):
        attend(q, k, v, MaskSpec(Causal()), backend="gathered")


@given(st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_attention_over_parts_merges_to_that_over_all(sizes):
    total = sum(sizes)
    q, k, v = tensors(groups=4, length=total)
    mask, first = MaskSpec(Causal()), 0
    parts: list[Any] = []
    for size in sizes:
        places = Places(Span(0, total), Span(first, size), q.device)
        part = slice(first, first + size)
        parts.append(attend(q, k[:, :, part], v[:, :, part], mask, places=places, need_lse=True))
        first += size
    out, lse = merge(parts)
    wanted, wanted_lse = attend(q, k, v, mask, need_lse=True)
    assert_close(out, wanted, rtol=1e-4, atol=1e-5)
    assert_close(lse, wanted_lse, rtol=1e-4, atol=1e-5)


def test_masks_of_numbers_are_equal_by_value_and_those_of_rows_are_not():
    assert MaskSpec(Causal()) & Window(3) == MaskSpec(Causal(), Window(3))
    assert hash(MaskSpec(BlockSparse(PATTERN))) == hash(MaskSpec(BlockSparse(BlockPattern(2, 1, 2, 2))))
    assert MaskSpec(Documents(IDS)) != MaskSpec(Documents(IDS.clone()))
    assert (MaskSpec(Causal()) & Documents(IDS)).by_row
    assert not MaskSpec(Causal(), Window(3)).by_row
