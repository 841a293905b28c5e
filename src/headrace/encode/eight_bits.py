"""A sentence encoder's body with its words and maps in 8 bits.

    x W = (x / s) (s W),      s_j = max|x_j|^a / max|W_j|^(1 - a),      a = 0.6        j: a number of x, a row of W
    W_jk = t_k q_jk, q in -127 .. 127;   x / s is brought to 8 bits as it comes, with one scale for a whole batch

Single numbers of x stand far above the rest, and with one scale for all of x the rest is lost: without s the least cosine to
float32 is 0.97. s, of the largest numbers that drawn rows of word pieces bring about, moves part of their size into W, whose
columns have a scale each: over 100 film titles the mean is then 0.997 and the least 0.987, over overviews the least is 0.995.
The maps that narrow in the first half of the layers stay in float32: theirs are the largest.
Cost: once, a few hundred short rows and a pass over the weights. ONNX Runtime adds up 8-bit products in 32 bits, which needs
VNNI instructions to be fast.
Paper: Xiao et al., ICML 2023 (SmoothQuant), section 4; a and which maps stay are ours, by cosine.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headrace.contracts.rng import rng
from headrace.encode.bert import SentenceBert
from headrace.encode.export import export
from headrace.encode.optional import optional

SHARE = 0.6
_ROWS, _FIRST_WORD, _LEAST = 200, 1000, 1e-3  # numbers below the first word's are marks and letters


class Smoothed(nn.Module):
    """The same map, of x / s."""

    def __init__(self, linear: nn.Linear, largest: Tensor):
        super().__init__()
        rows = linear.weight.detach().abs().amax(0)
        s = largest.clamp(min=_LEAST) ** SHARE / rows.clamp(min=_LEAST) ** (1 - SHARE)
        self.linear = linear
        self.register_buffer("by", 1 / s)
        self.by: Tensor
        with torch.no_grad():
            linear.weight.mul_(s)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.linear(x * self.by)
        return found


def quantise(body: SentenceBert, path: Path) -> None:
    """body: changed in place."""
    wanted = {"extra": "text", "purpose": "Quantising an encoder"}
    onnx: Any = optional("onnx", package="onnx", **wanted)
    quantization: Any = optional("onnxruntime.quantization", package="onnxruntime", **wanted)
    whole = path.with_name("whole.onnx")
    smooth(body)
    export(body, whole)
    first = [f"blocks.{number}/narrow" for number in range(len(body.blocks) // 2)]
    kept = [node.name for node in onnx.load(whole).graph.node if any(name in node.name for name in first)]
    logger, level = logging.getLogger(), logging.getLogger().level
    logger.setLevel(logging.ERROR)  # it advises a step that changes nothing here
    try:
        kind = quantization.QuantType.QInt8
        quantization.quantize_dynamic(whole, path, weight_type=kind, per_channel=True, nodes_to_exclude=kept)
    finally:
        logger.setLevel(level)
        whole.unlink()


@torch.no_grad()
def smooth(body: SentenceBert) -> None:
    """In place; what it computes stays the same."""
    largest, draw, words = dict[str, Tensor](), rng(0, "rows of word pieces"), body.words.num_embeddings
    maps = {name: one for name, one in body.named_modules() if isinstance(one, nn.Linear)}

    def watch(name: str) -> Any:
        def seen(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            here = given[0].abs().flatten(0, -2).amax(0)
            largest[name] = torch.maximum(largest.get(name, here), here)

        return seen

    hooks = [one.register_forward_pre_hook(watch(name)) for name, one in maps.items()]
    for length in draw.integers(3, min(40, len(body.positions)) + 1, _ROWS).tolist():
        tokens = torch.from_numpy(draw.integers(min(_FIRST_WORD, words // 2), words, (1, length)))
        body(tokens, torch.ones_like(tokens))
    for hook in hooks:
        hook.remove()
    for name, one in maps.items():
        above, own = name.rsplit(".", 1)
        setattr(body.get_submodule(above), own, Smoothed(one, largest[name]))
