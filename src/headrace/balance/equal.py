"""The plain sum: every loss keeps the weight its recipe gave it. What every other balancer must beat."""

from collections.abc import Mapping

import torch
from torch import Tensor

from headrace.contracts.config import config
from headrace.contracts.seams import Reevaluate


@config
class EqualConfig:
    """Nothing to set."""


class Equal:
    """Cost: one backward."""

    Config = EqualConfig
    revision = 1
    accumulates = True

    def __init__(self, config: EqualConfig | None = None):
        pass

    def backward(self, losses: Mapping[str, Tensor], shared: Tensor | None, reevaluate: Reevaluate) -> Mapping[str, float]:
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        return dict.fromkeys(losses, 1.0)
