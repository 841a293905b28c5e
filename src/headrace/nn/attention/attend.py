"""The one attention function: queries, keys, values what may be seen -> mixed values and, where asked, log-sum-exps.

    out, lse = attend(q, k, v, MaskSpec(Causal(), Window(128)))

Queries and keys arrive turned where the scheme of positions turns them: a cache holds turned keys, so that a step costs nothing
for the past. Attention over parts of the keys is joined by `merge` (from `dense`). Backends: dense; gathered blocks, for masks
that leave most of a long row out; "triton", the kernels of `on_gpu`, for block patterns. "auto" takes what was found fastest.
"""

from typing import Literal

import torch
from torch import Tensor

from headrace.nn.attention import on_gpu
from headrace.nn.attention.dense import fused, plain
from headrace.nn.attention.gathered import alone, block_of, gathered, pays
from headrace.nn.attention.masks import Causal, MaskSpec
from headrace.nn.attention.places import Bias, Places, Span

Backend = Literal["auto", "dense", "gathered", "triton"]
FULL = MaskSpec()


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: MaskSpec = FULL, *, bias: Bias | None = None, places: Places | None = None,
    need_lse: bool = False, dropout: float = 0.0, backend: Backend = "auto",
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """q [B, H, Tq, d], k and v [B, G, Tk, d] with H a multiple of G -> out [B, H, Tq, d], lse [B, H, Tq] where `need_lse`.

    places: where queries and keys stand; by default both begin at 0. dropout: of the weights, ignored with `need_lse`.
    """
    if places is None:
        places = Places(Span(0, q.shape[2]), Span(0, k.shape[2]), q.device)
    dropout = 0.0 if need_lse else dropout
    pattern = alone(mask) if bias is None and not dropout and places.aligned and places.q_span.start == 0 else None
    if backend == "triton" and pattern is None:
        raise ValueError(
            "The triton backend takes a causal block pattern alone, from 0: no other rule, bias, dropout or cached keys."
        )
    if pattern and (backend == "triton" or (backend == "auto" and q.is_cuda and on_gpu.pays(pattern, q.shape[2]))):
        out, lse = on_gpu.kernelled(q, k, v, pattern)
        return out, lse if need_lse else None
    block = block_of(mask) if places.aligned and not need_lse else 0
    if backend == "gathered" and not block:
        raise ValueError("Gathered blocks need a window, blockwise or block-sparse mask, one span of tokens, and no lse.")
    if block and (backend == "gathered" or (backend == "auto" and pays(mask.fixed, q.shape[2], q.shape[1], block))):
        return gathered(q, k, v, mask, block, bias=bias, dropout=dropout), None
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    if places.behind:
        mask = MaskSpec(*(rule for rule in mask.rules if not isinstance(rule, Causal)))
    if bias is None and not need_lse and places.aligned and mask.rules == (Causal(),):
        return fused(q, k, v, None, causal=True, dropout=dropout), None
    seen = _seen(mask, bias, q, places)
    if need_lse:
        return plain(q, k, v, seen)
    return fused(q, k, v, seen, dropout=dropout), None


def _seen(mask: MaskSpec, bias: Bias | None, q: Tensor, places: Places) -> Tensor | None:
    allowed = places.once(mask, lambda: mask.dense(places.q.view(-1), places.k.view(-1), q.shape[1]))
    if bias is None:
        return allowed
    by_distance = places.once(bias, lambda: bias.by_distance(places.q, places.k))
    assert by_distance is not None
    added = bias(q, by_distance)
    return added if allowed is None else added.masked_fill(~allowed, -torch.inf)
