"""A module's parameters and buffers as named numpy arrays, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def arrays_of(module: nn.Module) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def load_arrays_into(module: nn.Module, arrays: Mapping[str, NDArray[Any]]) -> None:
    module.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in arrays.items()})
