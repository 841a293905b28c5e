"""First weights, and the constants that keep deep bodies stable.

    magneto:   Xavier, then first and second feed-forward maps, values and outputs times γ;   sub-LN
               γ = √ln 2N (N layers alone);  both: encoder √(⅓ ln 3M · ln 2N), decoder √ln 3M
    deepnorm:  Xavier, then the same maps divided by β;   norm(α·x + f(x))
               N alone: α = (2N)^¼, β = (8N)^¼
               both: encoder α = 0.81 (N⁴M)^(1/16), β = (N⁴M)^(1/16)/1.15; decoder α = (3M)^¼, β = (12M)^¼
    bert:      every linear map N(0, 0.02²)
    fan_in:    torch's own, uniform within 1/√inputs

Xavier's gain is 1/√2 for queries, keys and values. Magneto leaves attention across alone, DeepNorm does not. Biases are
0, embeddings and tables of positions N(0, 0.02²). Adapters keep their own.
Papers: Magneto (arXiv 2210.06423), section 2.3; DeepNet (arXiv 2203.00555).
"""

import math

import torch
from torch import Tensor, nn

from headrace.nn.body.config import Side, TransformerConfig

STD = 0.02


def gamma(encoder_layers: int, decoder_layers: int, side: Side) -> float:
    n, m = encoder_layers, decoder_layers
    if not (n and m):
        return math.sqrt(math.log(2 * (n or m)))
    return math.sqrt(math.log(3 * m) * math.log(2 * n) / 3) if side == "encoder" else math.sqrt(math.log(3 * m))


def deepnorm(encoder_layers: int, decoder_layers: int, side: Side) -> tuple[float, float]:
    """α and β."""
    n, m = encoder_layers, decoder_layers
    if not (n and m):
        return (2 * (n or m)) ** 0.25, (8 * (n or m)) ** 0.25
    if side == "encoder":
        return 0.81 * (n**4 * m) ** (1 / 16), (n**4 * m) ** (1 / 16) / 1.15
    return (3 * m) ** 0.25, (12 * m) ** 0.25


def residual(of: TransformerConfig, side: Side) -> float:
    """α."""
    return deepnorm(of.encoder_layers, of.decoder_layers, side)[0] if of.init == "deepnorm" else 1.0


@torch.no_grad()
def initialise(blocks: nn.Module, of: TransformerConfig, side: Side) -> None:
    """The linear maps of a stack's layers."""
    from headrace.nn.body.attention import CrossAttention, SelfAttention
    from headrace.nn.body.feedforward import FeedForward

    if of.init == "fan_in":
        return
    depth = (of.encoder_layers, of.decoder_layers, side)
    scale = {"magneto": gamma(*depth), "deepnorm": 1 / deepnorm(*depth)[1]}.get(of.init, 1.0)
    for module in blocks.modules():
        if isinstance(module, SelfAttention):
            queries, shared = of.heads * of.head_dim, of.shared_heads * of.head_dim
            _map(module.qkv, of, [(queries, 0.5, 1.0), (shared, 0.5, 1.0), (shared, 0.5, scale)])
            _map(module.out, of, [(of.dim, 1.0, scale)])
        elif isinstance(module, CrossAttention):
            across, shared = 1.0 if of.init == "magneto" else scale, of.shared_heads * of.head_dim
            _map(module.q, of, [(of.dim, 0.5, 1.0)])
            _map(module.kv, of, [(shared, 0.5, 1.0), (shared, 0.5, across)])
            _map(module.out, of, [(of.dim, 1.0, across)])
        elif isinstance(module, FeedForward):
            _map(module.widen, of, [(of.wide, 1.0, scale)] * (2 if of.gated else 1))
            _map(module.narrow, of, [(of.dim, 1.0, scale)])


def _map(projection: nn.Module, of: TransformerConfig, parts: list[tuple[int, float, float]]) -> None:
    """parts: (outputs, gain², scale) of the maps that are one."""
    for way in projection.get_submodule("ways").children():
        weight, bias = way.get_parameter("weight"), dict(way.named_parameters()).get("bias")
        for part, (_, gain, scale) in zip(torch.split(weight, [size for size, _, _ in parts]), parts, strict=True):
            _draw(part, of, math.sqrt(gain))
            part.mul_(scale)
        if bias is not None:
            bias.zero_()


def _draw(part: Tensor, of: TransformerConfig, gain: float) -> None:
    if of.init == "bert":
        nn.init.normal_(part, std=STD)
    else:
        nn.init.xavier_uniform_(part, gain)
