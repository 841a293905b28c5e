"""Which numbers the forward computes in: float32, or bfloat16 by autocast with parameters and gradients kept in float32.

bfloat16 has float32's range, so losses are not scaled. It is used by itself on a GPU that has it. On a CPU it has to be asked
for: it pays only on processors with bfloat16 products, and results should not hang on the processor (benchmarks/training.py
measures both).
"""

from typing import Literal

import torch

from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Balancer

Precision = Literal["auto", "float32", "bfloat16"]


def autocast_dtype(precision: Precision, device: torch.device, balancer: Balancer, name: str) -> torch.dtype | None:
    """None: no autocast. A balancer that is more than a sum has to say that it may be mixed: `mixed_precision = True`."""
    mixes = bool(getattr(balancer, "mixed_precision", balancer.accumulates))
    if precision == "auto":
        pays = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if pays and mixes else None
    if precision == "float32":
        return None
    if not mixes:
        raise ConfigError(
            f"{name}: {type(balancer).__name__} works on the gradients of single losses, which bfloat16 rounds to 8 bits. "
            'Set train.precision = "float32".'
        )
    return torch.bfloat16
