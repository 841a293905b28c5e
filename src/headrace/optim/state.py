"""What an optimizer keeps beside parameters and gradients, in bytes: the memory a method saves or costs.

| | elements a matrix [m, n], m <= n |
|---|---|
| AdamW | 2 m n + 1 |
| APOLLO | 2 n r + 2 |
| APOLLO-Mini | 2 n + 2 |
| row-wise Adagrad, of a table | its rows |
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

_NUMBER = 8
"""Bytes of a Python number in it: a step's count, say."""


def state_bytes(optimizer: Optimizer, of: Iterable[Tensor] | None = None) -> int:
    """Of all parameters' states as they stand: nothing before the first step. A matrix that is not kept does not count.

    of: these parameters alone.
    """
    states = optimizer.state.values() if of is None else [optimizer.state.get(one) for one in of]
    return sum(map(_bytes, states))


def _bytes(value: Any) -> int:
    match value:
        case Tensor() if hasattr(value, "__tensor_flatten__"):  # of other tensors: quantised moments, codes and scales
            return sum(_bytes(getattr(value, name)) for name in value.__tensor_flatten__()[0])
        case Tensor():
            return value.numel() * value.element_size()
        case Mapping():
            return sum(map(_bytes, value.values()))
        case list() | tuple():
            return sum(map(_bytes, value))
        case int() | float():
            return _NUMBER
        case _:
            return 0
