"""What all solvers that read a Gram matrix have in common: the settings of their oracle, and what they can't do.

Gradients of single losses don't add up over micro-batches or ranks, and bfloat16 leaves 8 bits of them: refused by name.
"""

from typing import Literal

from headrace.balance.oracles import Heads
from headrace.contracts.config import config


@config
class GramConfig:
    """oracle: where losses are compared: shared, at the representation they have in common; theta, at all common parameters.

    heads: what a parameter of one loss alone gets: its own gradient, or that times the loss's weight.
    """

    oracle: Literal["shared", "theta"] = "shared"
    heads: Heads = "own"


class GramSolver:
    accumulates = False
    mixed_precision = False
