"""Named numpy arrays in one safetensors file: no code runs when it is opened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from headrace.contracts.errors import ArtifactError


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes contiguous copies where needed; 0-sized arrays are kept."""
    save_file({name: np.asarray(values, order="C") for name, values in arrays.items()}, path)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        arrays: dict[str, NDArray[Any]] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: can't be read as safetensors ({error}). Delete its folder and build again.") from None
    return arrays
