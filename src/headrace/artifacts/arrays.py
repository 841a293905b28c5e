"""Named numpy arrays in one safetensors file: no code runs when it is opened.

Arrays come back as views of the mapped file, so processes that open the same one share its pages, and what nobody reads takes no
memory. They may be written to: a page that is becomes the writer's own, the file stays as it is.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from headrace.contracts.errors import ArtifactError

_KINDS: dict[str, Any] = {
    "BOOL": np.bool_, "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "I8": np.int8, "I16": np.int16,
    "I32": np.int32, "I64": np.int64, "F16": np.float16, "F32": np.float32, "F64": np.float64,
}  # fmt: skip


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes contiguous copies where needed; 0-sized arrays are kept."""
    save_file({name: np.asarray(values, order="C") for name, values in arrays.items()}, path)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(path, "np") as checked:  # that the header is one and fits the file
            names = checked.offset_keys()
        whole: NDArray[Any] = np.memmap(path, np.uint8, mode="c").view(np.ndarray)
        begins = 8 + int.from_bytes(whole[:8].tobytes(), "little")
        header = json.loads(whole[8:begins].tobytes())
        return {name: _view(whole[begins:], header[name]) for name in names}
    except (SafetensorError, OSError, KeyError) as error:
        raise ArtifactError(f"{path}: can't be read as safetensors ({error}). Delete its folder and build again.") from None


def _view(data: NDArray[Any], told: Mapping[str, Any]) -> NDArray[Any]:
    start, end = told["data_offsets"]
    found: NDArray[Any] = data[start:end].view(_KINDS[told["dtype"]]).reshape(told["shape"])
    return found if found.flags.aligned else found.copy()
