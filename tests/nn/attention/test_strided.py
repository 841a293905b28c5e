import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from headrace.nn.attention.attend import attend
from headrace.nn.attention.masks import BlockSparse, Causal, Documents, MaskSpec
from headrace.nn.attention.patterns import BlockPattern
from headrace.nn.attention.strided import far, strided


@st.composite
def patterns(draw):
    alike, heads = draw(st.booleans()), draw(st.sampled_from([1, 2, 4]))
    stride = draw(st.integers(1, 6 if alike else heads))
    return BlockPattern(draw(st.sampled_from([1, 2, 5])), draw(st.integers(1, 6)), stride, heads, alike)


@settings(max_examples=60)
@given(patterns(), st.integers(1, 60), st.sampled_from([1, 2]))
def test_two_parts_are_the_dense_mask(pattern, length, group):
    """With gradients, in float64 and so tightly: neither part may leave out, nor count twice, a key."""
    draw = torch.Generator().manual_seed(length)
    mask, heads = MaskSpec(Causal(), BlockSparse(pattern)), pattern.heads * group
    found = []
    for backend in ("dense", "gathered"):
        draw.manual_seed(length)
        q, k, v = (
            (2 * torch.randn(2, each, length, 4, generator=draw, dtype=torch.float64)).requires_grad_()
            for each in (heads, pattern.heads, pattern.heads)
        )
        out, _ = attend(q, k, v, mask, backend=backend)
        out.sin().sum().backward()
        found.append([out.detach(), q.grad, k.grad, v.grad])
    for one, other in zip(*found, strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_lower_precision_stays_as_near_as_it_can(dtype, tolerance):
    """bfloat16 has 8 bits: 2^-8 of each of a few roundings."""
    pattern = BlockPattern(8, 2, 2, 4)
    q, k, v = torch.randn(3, 1, 4, 100, 16, generator=torch.Generator().manual_seed(0))
    wanted, _ = attend(q.double(), k.double(), v.double(), MaskSpec(Causal(), BlockSparse(pattern)), backend="dense")
    found = strided(q.to(dtype), k.to(dtype), v.to(dtype), pattern)
    assert found.dtype == dtype
    assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance)


@given(patterns(), st.integers(1, 40))
def test_near_and_far_share_no_block_and_leave_none_out(pattern, n):
    """The blocks that the division lists, against the pattern's own rule."""
    size, layout = pattern.block, far(pattern, n, pattern.heads)
    number = torch.arange(n)
    wanted = pattern.allowed(number.view(1, n, 1), number.view(1, 1, n), pattern.heads)
    apart = number[:, None] - number[None]
    listed = ((apart >= 0) & (apart < pattern.local)).int().repeat(pattern.heads, 1, 1)
    for tile, seen in layout.tiles:
        for head in range(pattern.heads):
            for i in layout.queries[head, tile.start // size : tile.stop // size].tolist():
                for j in layout.keys[head, : seen.stop // size].tolist():
                    if i < n:
                        listed[head, i, j] += 1
    assert torch.equal(listed, wanted.int())


@pytest.mark.parametrize("more", ["nothing", "dropout", "documents"])
def test_only_a_pattern_alone_goes_in_two_parts(monkeypatch, more):
    seen = []

    def instead(q, k, v, pattern):
        seen.append(pattern)
        return q

    monkeypatch.setattr("headrace.nn.attention.gathered.strided", instead)
    x = torch.randn(1, 2, 12, 4)
    mask = MaskSpec(Causal(), BlockSparse(BlockPattern(2, 1, 2, 2)))
    mask = mask & Documents(torch.zeros(1, 12, dtype=torch.long)) if more == "documents" else mask
    attend(x, x, x, mask, backend="gathered", dropout=0.5 if more == "dropout" else 0.0)
    assert len(seen) == (more == "nothing")
