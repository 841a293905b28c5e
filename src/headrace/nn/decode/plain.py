"""A plain decoder's step without its modules: the same numbers, for a fraction of the time where few rows are read.

A step of a few rows is hundreds of small operations, and the calls of modules around them take longer than the operations. Here a
layer is its weights and a dozen operations in a row. It serves what generative retrieval is mostly made of: norms in front, dense
layers, one branch, no adapters, as many key heads as heads. All other decoders go through `Transformer` itself.
Shapes: R rows of memory, N = R W rows of beams, H heads of width h. Cost as in `codes`.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import embedding, layer_norm, linear, rms_norm, scaled_dot_product_attention

from headrace.nn.body.config import RoutingConfig, TransformerConfig
from headrace.nn.body.feedforward import ACTIVATIONS
from headrace.nn.body.transformer import Transformer

PLAIN: dict[str, tuple[Any, ...]] = {
    "norm_place": ("pre",), "position": ("none", "rope", "t5"), "cross": ("standard",), "branches": (1,), "adapters": ((),),
    "side": ((),), "window": (0,), "pattern": (None,), "routing": (RoutingConfig(),),
}  # fmt: skip


def is_plain(decoder: Transformer) -> bool:
    """Whether `PlainSteps` may stand for it: a whole decoder, in evaluation, of none but the switches above."""
    of = decoder.of
    switches = all(getattr(of, name) in values for name, values in PLAIN.items())
    return switches and of.shared_heads == of.heads and decoder.words is None and not decoder.training


class Layer:
    """The weights of one block, and what it has read."""

    def __init__(self, of: TransformerConfig, block: Any, memory: Tensor):
        sub = block.sublayers
        attention, across, feed = (sub[name].inside for name in ("attention", "across", "feed"))
        self.norms = [_norm(of, sub[name].norm) for name in ("attention", "across", "feed")]
        self.qkv, self.out = _map(attention.qkv), _map(attention.out)
        self.q, self.mix = _map(across.q), _map(across.out)
        self.widen, self.narrow = _map(feed.widen), _map(feed.narrow)
        keys_values = linear(memory, *_map(across.kv)).view(*memory.shape[:2], 2, of.heads, of.head_dim)
        self.keys, self.values = keys_values.transpose(1, 3).unbind(2)  # [R, H, S, h]
        self.past = memory.new_zeros(len(memory), 0, 2, of.heads, of.head_dim)
        """Keys and values of the tokens so far, [N, T, 2, H, h]."""


class PlainSteps:
    """memory [R, S, d], of which `there` [R, S] are no padding. extent: tokens that will be read."""

    def __init__(self, decoder: Transformer, memory: Tensor, there: Tensor, extent: int):
        of, stack = decoder.of, decoder.stack
        self.of, self.extent, self.rows = of, extent, len(memory)
        self.embedding = cast(Any, decoder.embedding.tokens).weight
        self.layers = [Layer(of, block, memory) for block in stack.blocks]
        self.last = _norm(of, stack.last_norm)
        self.activation = ACTIVATIONS[of.activation]
        self.mask = None if bool(there.all()) else there[:, None, None]
        self.turn = stack.rotary(extent, memory.device) if stack.rotary is not None else None
        self.bias, self.read_so_far = stack.bias, 0

    def follow(self, rows: Tensor) -> None:
        for layer in self.layers:
            layer.past = layer.past[rows]

    def read(self, tokens: Tensor) -> Tensor:
        """[N], the next of each row -> states [N, d]."""
        at, x = self.read_so_far, embedding(tokens, self.embedding)
        bias = self._bias(at, x.device)
        for layer in self.layers:
            x = x + self._self_attention(layer, self._normed(x, layer.norms[0]), at, bias)
            x = x + self._across(layer, self._normed(x, layer.norms[1]))
            x = x + self._feed_forward(layer, self._normed(x, layer.norms[2]))
        self.read_so_far += 1
        return self._normed(x, self.last)

    def _self_attention(self, layer: Layer, x: Tensor, at: int, bias: Tensor | None) -> Tensor:
        q, k, v = linear(x, *layer.qkv).view(len(x), 1, 3, self.of.heads, self.of.head_dim).transpose(1, 3).unbind(2)
        if self.turn is not None:
            q, k = self.turn.queries(q, at), self.turn.keys(k, at)
        layer.past = torch.cat([layer.past, torch.stack([k, v], 1).transpose(2, 3).transpose(1, 2)], 1)
        keys, values = layer.past.transpose(1, 3).unbind(2)
        return linear(scaled_dot_product_attention(q, keys, values, bias).flatten(1), *layer.out)

    def _across(self, layer: Layer, x: Tensor) -> Tensor:
        q = linear(x, *layer.q).view(self.rows, -1, self.of.heads, self.of.head_dim).transpose(1, 2)
        mixed = scaled_dot_product_attention(q, layer.keys, layer.values, self.mask)
        return linear(mixed.transpose(1, 2).reshape(x.shape), *layer.mix)

    def _feed_forward(self, layer: Layer, x: Tensor) -> Tensor:
        wide = linear(x, *layer.widen)
        if self.of.gated:
            gate, wide = wide.chunk(2, -1)
            return linear(self.activation(gate) * wide, *layer.narrow)
        return linear(self.activation(wide), *layer.narrow)

    def _normed(self, x: Tensor, by: tuple[Tensor, Tensor | None]) -> Tensor:
        if self.of.norm == "rms":
            return rms_norm(x, x.shape[1:], by[0], self.of.norm_eps)
        return layer_norm(x, x.shape[1:], *by, self.of.norm_eps)

    def _bias(self, at: int, device: torch.device) -> Tensor | None:
        if self.bias is None:
            return None
        places = torch.arange(at + 1, device=device)
        return self.bias.by_distance(places[-1:].view(1, 1, 1), places.view(1, 1, -1))


def _map(projection: Any) -> tuple[Tensor, Tensor | None]:
    way = projection.ways[0]
    return way.weight, way.bias


def _norm(of: TransformerConfig, norm: Any) -> tuple[Tensor, Tensor | None]:
    way = norm.ways[0]
    return way.weight, way.bias if of.norm == "layer" else None
