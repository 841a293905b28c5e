"""Self-attention and attention across to an encoder's states, as sub-layers.

    y = W_o · [inner norm] concat_h attend(turn(W_q x), turn(W_k x), W_v x)

Queries, keys and values come from one linear map; groups of query heads may share a key/value head. The inner norm is Sub-LN's,
over all heads together, and self-attention's alone. Shapes [B, T, d] -> [B, T, d]. Cost O(T d² + T² d), less with a sparse mask.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn

from headrace.nn.attention.attend import attend
from headrace.nn.attention.dense import merge
from headrace.nn.body.cache import Slot
from headrace.nn.body.call import Call
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.projection import Projection, norm


class SelfAttention(nn.Module):
    """limited: whether a window or pattern holds in this layer."""

    def __init__(self, of: TransformerConfig, *, limited: bool):
        super().__init__()
        self.heads, self.groups, self.width, self.limited = of.heads, of.shared_heads, of.head_dim, limited
        self.qkv = Projection(of, of.dim, (of.heads + 2 * of.shared_heads) * of.head_dim, bias=of.bias == "all")
        self.inner = norm(of, of.dim) if of.norm_place == "sub" else None
        self.out = Projection(of, of.dim, of.dim, bias=of.bias == "all")
        self.draws: Callable[[], AbstractContextManager[None]] = nullcontext
        """Around what is drawn for these heads alone."""

    def forward(self, x: Tensor, call: Call, slot: Slot | None) -> Tensor:
        queries, shared = self.heads * self.width, self.groups * self.width
        q, k, v = (_heads(part, self.width) for part in self.qkv(x, call).split([queries, shared, shared], -1))
        if call.turn is not None:
            start = call.places.q_span.start
            q, k = call.turn.queries(q, start), call.turn.keys(k, start)
        with self.draws() if call.dropout else nullcontext():
            mixed = self._mixed(q, k, v, call, slot).transpose(1, 2).flatten(2)
        if self.inner is not None:
            mixed = self.inner(mixed, call)
        out: Tensor = self.out(mixed, call)
        return out

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor, call: Call, slot: Slot | None) -> Tensor:
        mask, cache = call.limited if self.limited else call.whole, call.cache
        if cache is not None and slot is not None:
            k, v = slot.add(k, v, cache.filled, cache.capacity)
        out, lse = attend(
            q, k, v, mask, bias=call.bias, places=call.places, need_lse=call.before is not None, dropout=call.dropout,
            backend=call.backend,
        )  # fmt: skip
        if call.before is None or lse is None or slot is None or slot.before is None:
            return out
        rows, heads, length, width = q.shape
        past_keys, past_values = slot.before
        each = (len(past_keys), rows // len(past_keys))
        # a prefix is read once for all rows that go on from it
        once = q.view(*each, heads, length, width).transpose(1, 2).reshape(each[0], heads, each[1] * length, width)
        past, past_lse = attend(once, past_keys, past_values, mask, bias=call.bias, places=call.before, need_lse=True)
        assert past_lse is not None
        past = past.view(each[0], heads, each[1], length, width).transpose(1, 2).reshape(q.shape)
        past_lse = past_lse.view(each[0], heads, each[1], length).transpose(1, 2).reshape(lse.shape)
        return merge([(out, lse), (past, past_lse)])[0]


class CrossAttention(nn.Module):
    """Several rows may read one memory, n to each side by side: they are its queries, and its keys are not copied."""

    def __init__(self, of: TransformerConfig):
        super().__init__()
        self.width, shared = of.head_dim, of.shared_heads * of.head_dim
        self.q = Projection(of, of.dim, of.dim, bias=of.bias == "all")
        self.kv = Projection(of, of.dim, 2 * shared, bias=of.bias == "all")
        self.out = Projection(of, of.dim, of.dim, bias=of.bias == "all")

    def forward(self, x: Tensor, call: Call, slot: Slot | None) -> Tensor:
        if slot is not None and slot.across is not None:
            k, v = slot.across
        else:
            k, v = (_heads(part, self.width) for part in self.kv(call.memory, call.of_memory).chunk(2, -1))
        if slot is not None:
            slot.across = (k.detach(), v.detach())
        q = _heads(self.q(x, call).view(k.shape[0], -1, x.shape[2]), self.width)
        mixed, _ = attend(q, k, v, call.memory_mask, dropout=call.dropout)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape), call)
        return out


def _heads(x: Tensor, width: int) -> Tensor:
    """[B, T, H·d] -> [B, H, T, d]."""
    return x.view(*x.shape[:2], -1, width).transpose(1, 2)
