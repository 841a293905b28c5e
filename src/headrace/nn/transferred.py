"""What a model reads of the vectors an upstream model made: the parts it asks for, each number standardised.

    z = (v[parts] - mean) / scale,    z = unknown (learned, zeros at the start) where v is 0 throughout: nothing is known

mean, scale: of the vectors that were there when the model was trained; frozen, and stored with it.
Shapes: [.., width] -> [.., the widths of the parts that are read]. Cost O(width).
The schema of the upstream is kept beside (`schema_of`), so that vectors of another one are refused by the names of what differs.
Paper: LFM4Ads (arXiv 2508.14948), section 3.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.requests import Float32
from headrace.data.foundation import Foundation

FieldSchema = Mapping[str, tuple[str, int]]
_LEAST = 1e-6


class Transferred(nn.Module):
    """widths: part -> width, in the order they stand in a vector. reads: which of them. width: of what comes out."""

    mean: Tensor
    scale: Tensor

    def __init__(self, widths: Mapping[str, int], reads: Sequence[str]):
        super().__init__()
        ends = dict(zip(widths, np.cumsum(list(widths.values())).tolist(), strict=True))
        self.spans = [(ends[part] - widths[part], ends[part]) for part in reads]
        self.width = sum(widths[part] for part in reads)
        self.unknown = nn.Parameter(torch.zeros(self.width))
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    def fit(self, vectors: Float32) -> None:
        """Mean and deviation of those that are known; a number that never moves is left as large as it is."""
        known = self.read(torch.from_numpy(vectors[vectors.any(1)])).double()
        if len(known):
            spread = known.std(0, correction=0)
            self.mean.copy_(known.mean(0))
            self.scale.copy_(spread.where(spread > _LEAST, torch.ones_like(spread)))

    def read(self, vectors: Tensor) -> Tensor:
        """The parts as they are."""
        return torch.cat([vectors[..., start:end] for start, end in self.spans], -1)

    def forward(self, vectors: Tensor) -> Tensor:
        known = (vectors != 0).any(-1, keepdim=True)
        return ((self.read(vectors) - self.mean) / self.scale).where(known, self.unknown)


def schema_of(foundation: Foundation) -> dict[str, tuple[str, int]]:
    """Its parts and its upstream's fields, each with a kind and a size."""
    parts = {"user": foundation.user_parts, "item": foundation.item_parts}
    found = {f"{side} part {name}": ("vector", width) for side, of in parts.items() for name, width in of.items()}
    return {**found, **{f"field {name}": (kind, int(size)) for name, (kind, size) in foundation.fields.items()}}


def parts_in(schema: FieldSchema, side: str) -> dict[str, int]:
    """part -> width, in their order, of "user" or "item"."""
    start = f"{side} part "
    return {name.removeprefix(start): size for name, (_, size) in schema.items() if name.startswith(start)}


def as_bytes(value: Any) -> Tensor:
    """JSON as uint8, so that it can stand among a module's buffers."""
    return torch.from_numpy(np.frombuffer(json.dumps(value).encode(), np.uint8).copy())


def from_bytes(values: NDArray[Any] | Tensor) -> Any:
    return json.loads(bytes(np.asarray(values)).decode())
