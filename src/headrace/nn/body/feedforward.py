"""The feed-forward sub-layer, plain or gated.

    plain:  W_2 · [inner norm] φ(W_1 x),   φ = gelu or relu
    gated:  W_2 · [inner norm] (φ(W_g x) ⊙ W_1 x),   φ = silu (swiglu) or gelu (geglu)

The inner norm is Sub-LN's, over the wide side. A gated one has half as many parameters again at the same width. Cost O(T d w).
Papers: Shazeer 2020 for the gates; Magneto (arXiv 2210.06423), section 2, for the norm.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import gelu, relu, silu

from headrace.nn.body.cache import Slot
from headrace.nn.body.call import Call
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.projection import Projection, norm

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": gelu, "relu": relu, "swiglu": silu, "geglu": gelu}


class FeedForward(nn.Module):
    def __init__(self, of: TransformerConfig):
        super().__init__()
        self.activation, self.gated = ACTIVATIONS[of.activation], of.gated
        self.widen = Projection(of, of.dim, of.wide * (2 if of.gated else 1), bias=of.bias != "none")
        self.inner = norm(of, of.wide) if of.norm_place == "sub" else None
        self.narrow = Projection(of, of.wide, of.dim, bias=of.bias != "none")

    def forward(self, x: Tensor, call: Call, slot: Slot | None = None) -> Tensor:
        wide: Tensor = self.widen(x, call)
        if self.gated:
            gate, wide = wide.chunk(2, -1)
            wide = self.activation(gate) * wide
        else:
            wide = self.activation(wide)
        if self.inner is not None:
            wide = self.inner(wide, call)
        narrow: Tensor = self.narrow(wide, call)
        return narrow
