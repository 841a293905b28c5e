"""The index table of a block pattern, as a kernel walks it, and that walk in plain torch: the kernel's slow reference.

Queries go in tiles: small neighbouring blocks are merged into one, so that blocks may be finer than what a matrix unit is filled
with. For each key/value head and tile the table lists the blocks of keys that some block of the tile sees, and in bits which do:

    tile t of head g:  others[starts[g, t] : starts[g, t + 1]],  bits likewise; bit p is set where its block p sees that one

`by_key` is the same transposed, for the gradients of keys and values: its others are tiles. All int32.
A walk keeps a running maximum and sum of each query, so that one pass gives out and lse and no score outlives its block.
Cost O(G n²) to make, once for a length; a walk computes block²·merged scores an entry.
Paper: S2-Attention (arXiv 2407.17678): a CSR table a head, and small query blocks merged.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from headrace.nn.attention.patterns import BlockPattern

TILE = 64
"""Queries a tile: one block where that is larger."""
BITS = 16
"""Blocks a tile, at most."""


class Listed(NamedTuple):
    """starts [G, rows + 1], others [entries], bits [entries]."""

    starts: Tensor
    others: Tensor
    bits: Tensor


class Table(NamedTuple):
    """block: tokens. merged: blocks of queries in a tile."""

    block: int
    merged: int
    by_query: Listed
    by_key: Listed


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # a table made for serving must also serve training
def table(pattern: BlockPattern, length: int, device: torch.device) -> Table:
    n, merged = -(-length // pattern.block), min(max(1, TILE // pattern.block), BITS)
    number = torch.arange(n)
    by_query, by_key = [], []
    for shard in pattern.shards(pattern.heads):  # a head at a time: all pairs of blocks of a long row are many
        seen = pad(pattern.sees(number[:, None], number, shard), (0, 0, 0, -n % merged)).view(-1, merged, n)
        by_query.append(_listed(seen.permute(0, 2, 1)))
        by_key.append(_listed(seen.permute(2, 0, 1)))
    return Table(pattern.block, merged, _joined(by_query, device), _joined(by_key, device))


def _listed(seen: Tensor) -> Listed:
    """[rows, others, merged] -> one head's list."""
    row, other = seen.any(-1).nonzero(as_tuple=True)
    starts = pad(torch.bincount(row, minlength=len(seen)).cumsum(0), (1, 0))
    return Listed(starts, other, (seen[row, other] << torch.arange(seen.shape[-1])).sum(-1))


def _joined(heads: list[Listed], device: torch.device) -> Listed:
    before = torch.tensor([0, *(len(head.others) for head in heads[:-1])]).cumsum(0)
    whole = (
        torch.stack([head.starts for head in heads]) + before[:, None],
        torch.cat([head.others for head in heads]),
        torch.cat([head.bits for head in heads]),
    )
    return Listed(*(x.to(device, torch.int32) for x in whole))


def walked(q: Tensor, k: Tensor, v: Tensor, of: Table) -> tuple[Tensor, Tensor]:
    """q [B, H, T, d], k and v [B, G, T, d] -> out [B, H, T, d] and lse [B, H, T], in float32 or wider."""
    wide, length, group = torch.promote_types(q.dtype, torch.float32), q.shape[2], q.shape[1] // k.shape[1]
    out, lse = [], []
    for head in range(q.shape[1]):
        starts = of.by_query.starts[head // group].tolist()
        for tile in range(len(starts) - 1):
            at = torch.arange(tile * of.block * of.merged, min((tile + 1) * of.block * of.merged, length))
            asked = q[:, head, at].to(wide) * q.shape[-1] ** -0.5
            top = asked.new_full(asked.shape[:-1], -torch.inf)
            total, mixed = torch.zeros_like(top), torch.zeros_like(asked)
            for entry in range(starts[tile], starts[tile + 1]):
                block, bits = int(of.by_query.others[entry]), int(of.by_query.bits[entry])
                there = torch.arange(block * of.block, min((block + 1) * of.block, length))
                keys, values = (x[:, head // group, there].to(wide) for x in (k, v))
                seen = (there <= at[:, None]) & (bits >> at // of.block % of.merged & 1).bool()[:, None]
                scores = (asked @ keys.mT).masked_fill(~seen, -torch.inf)
                newer = torch.maximum(top, scores.amax(-1))
                shift = newer.masked_fill(newer == -torch.inf, 0.0)  # a query that has seen nothing yet
                kept, weights = (top - shift).exp(), (scores - shift[..., None]).exp()
                total, mixed, top = total * kept + weights.sum(-1), mixed * kept[..., None] + weights @ values, newer
            out.append((mixed / total[..., None]).to(q.dtype))
            lse.append(top + total.log())
    return torch.cat(out, 1).view(q.shape), torch.cat(lse, 1).view(q.shape[:-1])
