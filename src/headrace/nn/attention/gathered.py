"""Attention that reads only the blocks of keys a mask may allow, for masks that leave most of a long row out.

A tile of neighbouring query blocks gathers the union of its key blocks, once a head, and the fused kernel runs on the tile; the
mask's rules still decide pair by pair. What a mask of numbers alone needs is planned once a length and kept. On a CPU a causal
block pattern with nothing added goes to `strided`, which gathers less.
Cost O(T · keys a tile needs · d) a head and the gathered copies of one tile; the slow reference is the dense backend.
Paper: S2-Attention (arXiv 2407.17678): blocks a head, and small query blocks merged into one tile.
"""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from headrace.nn.attention.masks import BlockSparse, Blockwise, Causal, MaskSpec, Window
from headrace.nn.attention.patterns import BlockPattern
from headrace.nn.attention.places import Bias
from headrace.nn.attention.strided import strided

TILE = 128
"""Queries that share their gathered keys."""
BLOCK = 64
LONG, SPARSE = 1024, 0.5
"""Tokens, and share of the dense blocks, from which it was measured to be faster on a CPU: benchmarks/attention.py. At 512
tokens and one row the copies cost what the scores save."""


class Tile(NamedTuple):
    """blocks [1 | H, K]: numbers of key blocks. seen [1 | H, queries, K·size]: a bias of 0 or -inf."""

    first: int
    last: int
    blocks: Tensor
    seen: Tensor


def block_of(mask: MaskSpec) -> int:
    """The size of block such a mask is gathered by; 0 for a mask that leaves too little out."""
    for rule in mask.rules:
        if isinstance(rule, BlockSparse):
            return rule.pattern.block
    return BLOCK if any(isinstance(rule, Window | Blockwise) for rule in mask.rules) else 0


def gathered(
    q: Tensor, k: Tensor, v: Tensor, mask: MaskSpec, size: int, *, bias: Bias | None = None, dropout: float = 0.0
) -> Tensor:
    """q [B, H, T, d], k and v [B, G, T, d] -> [B, H, T, d]. size: tokens in a block."""
    batch, heads, length, width = q.shape
    pattern = alone(mask)
    if pattern is not None and bias is None and not dropout and q.device.type == "cpu":
        k, v = (x.repeat_interleave(heads // x.shape[1], 1) for x in (k, v))
        return strided(q, k, v, pattern)
    fixed, by_row = mask.fixed, MaskSpec(*(rule for rule in mask.rules if rule.by_row))
    n = -(-length // size)
    k, v = (pad(x, (0, 0, 0, n * size - length)).reshape(batch, -1, n, size * width) for x in (k, v))
    head = torch.arange(heads, device=q.device)[:, None] // (heads // k.shape[1])
    out = []
    for tile in plan(fixed, length, heads, size, q.device):
        keys, values = (x[:, head, tile.blocks].view(batch, heads, -1, width) for x in (k, v))
        asked, seen = q[:, :, tile.first : tile.last], tile.seen.to(q.dtype)
        if bias is not None or by_row.rules:
            q_at = torch.arange(tile.first, tile.last, device=q.device).view(1, -1, 1)
            k_at = _keys(tile.blocks, size).clamp(max=length - 1)
            allowed = by_row.allowed(q_at, k_at, heads)
            seen = seen if allowed is None else seen.masked_fill(~allowed, -torch.inf)
            seen = seen if bias is None else seen + bias(asked, bias.by_distance(q_at, k_at))
        out.append(scaled_dot_product_attention(asked, keys, values, attn_mask=_four(seen), dropout_p=dropout))
    return torch.cat(out, 2)


def alone(mask: MaskSpec) -> BlockPattern | None:
    """The pattern, where mask is that and causal, and nothing more."""
    for rule in mask.rules:
        if isinstance(rule, BlockSparse) and set(mask.rules) == {Causal(), rule}:
            return rule.pattern
    return None


@lru_cache(maxsize=64)
def pays(mask: MaskSpec, length: int, heads: int, size: int) -> bool:
    """Whether so little of a long row is left that gathering is faster than the dense kernel on a CPU. mask: as for `plan`."""
    if length < LONG:
        return False
    n = -(-length // size)
    whole = MaskSpec(*(rule for rule in mask.rules if isinstance(rule, Causal)))
    share = mask.blocks(n, size, heads).float().mean() / whole.blocks(n, size, heads).float().mean()
    return float(share) <= SPARSE


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # a plan made for serving must also serve training
def plan(mask: MaskSpec, length: int, heads: int, size: int, device: torch.device) -> list[Tile]:
    """mask: rules of numbers alone."""
    n = -(-length // size)
    needed = mask.blocks(n, size, heads)
    each = max(1, TILE // size)
    tiles = []
    for first, last in pairwise([*range(0, n, each), n]):
        union = needed[:, first:last].any(1)
        most = int(union.sum(-1).max())
        blocks = (~union).to(torch.int8).argsort(dim=-1, stable=True)[:, :most]
        real = union.gather(1, blocks).repeat_interleave(size, -1)[:, None]
        q_at = torch.arange(first * size, min(last * size, length)).view(1, -1, 1)
        k_at = _keys(blocks, size)
        allowed = mask.allowed(q_at, k_at, heads)
        seen = real & (k_at < length) if allowed is None else allowed & real & (k_at < length)
        bias = torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)
        tiles.append(Tile(first * size, min(last * size, length), blocks.to(device), bias.to(device)))
    return tiles


def _four(seen: Tensor) -> Tensor:
    """With three dimensions the fused kernel is left for one that takes four times as long."""
    return seen if seen.dim() == 4 else seen[None]


def _keys(blocks: Tensor, size: int) -> Tensor:
    """[1 | H, K] -> positions [1 | H, 1, K·size]."""
    return (blocks[:, :, None] * size + torch.arange(size, device=blocks.device)).flatten(1)[:, None]
