"""S2-Attention's pattern on a CPU in two parts, which need no mask but on the diagonal, merged by log-sum-exp.

    near: the newest `local` blocks, a contiguous window of keys        far: kept columns that are older than the window
    lse = log(e^near_lse + e^far_lse),   out = e^(near_lse - lse) near + e^(far_lse - lse) far

Far columns of a head stand side by side once copied (1/stride of the keys). With r in 1 .. stride its first kept block counted
back from 0, query block i sees the first (i - local + r) // stride of them: the same for `stride` neighbouring blocks, where each
head's are counted from its own r. Such a tile of all heads is one call of torch's fused kernel, which gives its log-sum-exp.
A part's backward needs no more than the merged out and lse, so that training keeps as little as the fused kernel does.
Cost O(T (local·block + T / (2 stride)) d) a head, and a few copies of q, k, v and out; the slow reference is the dense backend.
Paper: S2-Attention (arXiv 2407.17678), section 3, whose parts merge exactly; this division into two is our reading.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headrace.nn.attention.patterns import BlockPattern

flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def strided(q: Tensor, k: Tensor, v: Tensor, pattern: BlockPattern) -> Tensor:
    """Causal. q, k, v [B, H, T, d] -> [B, H, T, d]: keys and values already repeated for the query heads that share them."""
    out: Tensor = _Strided.apply(q, k, v, pattern)  # type: ignore[no-untyped-call]
    return out


class Far(NamedTuple):
    """heads [H, 1]. queries [H, n - local] and keys [H, U]: numbers of blocks, each head's counted from its own r.
    tiles: of these queries the first and last, and how many of the keys they see, in tokens."""

    heads: Tensor
    queries: Tensor
    keys: Tensor
    tiles: list[tuple[slice, slice]]


@lru_cache(maxsize=16)
def far(pattern: BlockPattern, n: int, heads: int) -> Far:
    """n: blocks of the row. Some heads' last queries and keys lie up to stride - 1 blocks behind its end."""
    size, local, stride = pattern.block, pattern.local, pattern.stride
    r = (pattern.shards(heads)[:, None] - 1) % stride + 1
    older = max(0, n - local)
    queries = torch.arange(older) + stride + local - r
    keys = torch.arange(1, -(-older // stride) + 1) * stride - r
    tiles = [
        (slice(first * size, min(first + stride, older) * size), slice(0, seen * size))
        for seen, first in enumerate(range(0, older, stride), 1)
    ]
    return Far(torch.arange(heads)[:, None], queries, keys, tiles)


class _Row:
    """How a row is cut. [B, H, T, d] is padded to whole blocks and stride - 1 more, [B, H, N, block, d]; the rest take those."""

    def __init__(self, like: Tensor, pattern: BlockPattern):
        _, self.heads, self.length, _ = like.shape
        self.size, self.local = pattern.block, pattern.local
        self.n = -(-self.length // pattern.block)
        self.older, self.total = max(0, self.n - pattern.local), self.n + pattern.stride - 1
        self.far = far(pattern, self.n, self.heads)
        unseen = torch.arange(self.local * self.size) > torch.arange(self.size)[:, None] + (self.local - 1) * self.size
        self.diagonal = torch.zeros(unseen.shape, dtype=like.dtype).masked_fill(unseen, -torch.inf)[None, None]

    def blocks(self, x: Tensor) -> Tensor:
        whole = x.new_empty(*x.shape[:2], self.total * self.size, x.shape[-1])  # `pad` would write all of it twice
        whole[:, :, : self.length], whole[:, :, self.length :] = x, 0
        return whole.view(*x.shape[:2], self.total, self.size, x.shape[-1])

    def row(self, blocks: Tensor) -> Tensor:
        return blocks.flatten(2, 3)[:, :, : self.length]

    def beginning(self, x: Tensor) -> Tensor:
        """The first blocks, which see all before them -> [B, H, local·block, d]."""
        return x[:, :, : min(self.n, self.local)].flatten(2, 3)

    def later(self, x: Tensor) -> Tensor:
        """Each of the blocks after these -> [B·H, n - local, block, d]."""
        return x.flatten(0, 1)[:, self.local : self.n]

    def windows(self, x: Tensor) -> Tensor:
        """The newest blocks that each later one sees, overlapping -> [B·H, n - local, local·block, d]."""
        return x.flatten(0, 1).flatten(1, 2).unfold(1, self.local * self.size, self.size)[:, 1 : self.older + 1].transpose(2, 3)

    def add_windows(self, to: Tensor, x: Tensor) -> None:
        each = x.view(-1, self.older, self.local, self.size, x.shape[-1])
        for place in range(self.local):
            to.flatten(0, 1)[:, 1 + place : 1 + place + self.older] += each[:, :, place]

    def far_queries(self, x: Tensor) -> Tensor:
        """[B, H, tokens, d], a copy."""
        return self._picked(x, self.far.queries)

    def far_keys(self, x: Tensor) -> Tensor:
        return self._picked(x, self.far.keys)

    def _picked(self, x: Tensor, blocks: Tensor) -> Tensor:
        return x.flatten(3)[:, self.far.heads, blocks].view(*x.shape[:2], -1, x.shape[-1])

    def put(self, to: Tensor, blocks: Tensor, x: Tensor) -> None:
        to[:, self.far.heads, blocks] = x.view(*x.shape[:2], -1, self.size, x.shape[-1])

    def add(self, to: Tensor, blocks: Tensor, x: Tensor) -> None:
        to[:, self.far.heads, blocks] += x.view(*x.shape[:2], -1, self.size, x.shape[-1])


class _Strided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, pattern: BlockPattern) -> Tensor:
        cut, given = _Row(q, pattern), (q, k, v)
        q, k, v = (cut.blocks(x) for x in (q, k, v))
        out = torch.empty_like(q)
        out[:, :, cut.n :] = 0  # where only what lies behind the row's end is merged
        lse = q.new_zeros((*q.shape[:-1], 1), dtype=torch.promote_types(q.dtype, torch.float32))
        found, found_lse = flash(*(cut.beginning(x) for x in (q, k, v)), 0.0, True)
        cut.beginning(out).copy_(found)
        cut.beginning(lse).copy_(found_lse.unsqueeze(-1))
        if cut.older:
            found, found_lse = flash(cut.later(q), cut.windows(k), cut.windows(v), attn_mask=cut.diagonal)
            cut.later(out).copy_(found)
            cut.later(lse).copy_(found_lse.unsqueeze(-1))
            asked, keys, values = cut.far_queries(q), cut.far_keys(k), cut.far_keys(v)
            merged, merged_lse = cut.far_queries(out), cut.far_queries(lse)
            for tile, seen in cut.far.tiles:
                found, found_lse = flash(asked[:, :, tile], keys[:, :, seen], values[:, :, seen])
                found_lse, near_lse = found_lse.unsqueeze(-1), merged_lse[:, :, tile]
                merged[:, :, tile].lerp_(found, (found_lse - near_lse).sigmoid().to(found.dtype))
                near_lse.copy_(torch.logaddexp(near_lse, found_lse))
            cut.put(out, cut.far.queries, merged)
            cut.put(lse, cut.far.queries, merged_lse)
        ctx.cut = cut
        ctx.save_for_backward(*given, out, lse)
        return cut.row(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_grad: Tensor) -> tuple[Tensor | None, ...]:
        cut: _Row = ctx.cut
        *given, out, lse = ctx.saved_tensors
        q, k, v, out_grad = (cut.blocks(x) for x in (*given, out_grad))
        q_grad, k_grad, v_grad = grads = [torch.zeros_like(x) for x in (q, k, v)]
        found = flash_backward(
            *(cut.beginning(x) for x in (out_grad, q, k, v, out)), cut.beginning(lse).squeeze(-1), 0.0, True
        )  # fmt: skip
        for to, x in zip(grads, found, strict=True):
            cut.beginning(to).copy_(x)
        if cut.older:
            of_q, *of_windows = flash_backward(
                cut.later(out_grad), cut.later(q), cut.windows(k), cut.windows(v), cut.later(out),
                cut.later(lse).squeeze(-1), 0.0, False, attn_mask=cut.diagonal,
            )  # fmt: skip
            cut.later(q_grad).copy_(of_q)
            cut.add_windows(k_grad, of_windows[0])
            cut.add_windows(v_grad, of_windows[1])
            of_out, asked, out, lse = (cut.far_queries(x) for x in (out_grad, q, out, lse))
            keys, values = cut.far_keys(k), cut.far_keys(v)
            of_asked, of_keys, of_values = (torch.zeros_like(x) for x in (asked, keys, values))
            for tile, seen in cut.far.tiles:
                of_q, of_k, of_v = flash_backward(
                    of_out[:, :, tile], asked[:, :, tile], keys[:, :, seen], values[:, :, seen], out[:, :, tile],
                    lse[:, :, tile].squeeze(-1), 0.0, False,
                )  # fmt: skip
                of_asked[:, :, tile] = of_q
                of_keys[:, :, seen] += of_k
                of_values[:, :, seen] += of_v
            cut.add(q_grad, cut.far.queries, of_asked)
            cut.add(k_grad, cut.far.keys, of_keys)
            cut.add(v_grad, cut.far.keys, of_values)
        return *(cut.row(x) for x in grads), None
