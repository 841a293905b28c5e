"""A layer: sub-layers in their order, each with its residual and its norm, before, after, or inside it.

    pre:  x + f(norm(x))       post:  norm(α·x + f(x))       sub:  as pre, with a second norm inside f

encoder: attention, feed-forward; decoder: attention, across, feed-forward; interleaved (DeltaLM): attention, feed-forward,
across, feed-forward, so that two encoder layers fit into one of the decoder. α is DeepNorm's, else 1.
"""

from torch import Tensor, nn

from headrace.nn.body.adapters import Bottlenecks
from headrace.nn.body.attention import CrossAttention, SelfAttention
from headrace.nn.body.cache import Slot
from headrace.nn.body.call import Call
from headrace.nn.body.config import Side, TransformerConfig
from headrace.nn.body.experts import Experts
from headrace.nn.body.feedforward import FeedForward
from headrace.nn.body.initialise import residual
from headrace.nn.body.projection import norm


class Sublayer(nn.Module):
    def __init__(self, of: TransformerConfig, side: Side, inside: nn.Module):
        super().__init__()
        self.after, self.alpha = of.norm_place == "post", residual(of, side)
        self.norm, self.inside, self.drop = norm(of, of.dim), inside, nn.Dropout(of.dropout)
        self.bottlenecks = Bottlenecks(of)

    def forward(self, x: Tensor, call: Call, slot: Slot | None) -> Tensor:
        found: Tensor = self.inside(x if self.after else self.norm(x, call), call, slot)
        found = self.drop(self.bottlenecks(found, call.adapter))
        if not self.after:
            return x + found
        normed: Tensor = self.norm((x if self.alpha == 1 else x * self.alpha) + found, call)
        return normed


class Block(nn.Module):
    def __init__(self, of: TransformerConfig, side: Side, layer: int):
        super().__init__()
        limited = bool(of.window or of.pattern) and layer not in of.dense_layers
        inside: dict[str, nn.Module] = {"attention": SelfAttention(of, limited=limited)}
        if side == "decoder" and of.cross == "interleaved":
            inside["between"] = FeedForward(of)
        if side == "decoder" and of.cross != "none":
            inside["across"] = CrossAttention(of)
        inside["feed"] = Experts(of) if of.routed(layer) else FeedForward(of)
        self.sublayers = nn.ModuleDict({name: Sublayer(of, side, module) for name, module in inside.items()})

    def forward(self, x: Tensor, call: Call, slot: Slot | None) -> Tensor:
        for sublayer in self.sublayers.values():
            x = sublayer(x, call, slot)
        return x
