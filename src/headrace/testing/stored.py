"""What everything stored promises: put down as arrays and picked up again, it is what it was."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.contracts.seams import Stored
from headrace.testing.expect import expect, expect_equal


def check_stored(component: Any) -> Any:
    """The component, read back from a file of its arrays and its config, for further questions."""
    expect(isinstance(component, Stored), f"{type(component).__name__} lacks arrays() or from_arrays(config, arrays).")
    arrays = component.arrays()
    for name, values in arrays.items():
        expect(isinstance(values, np.ndarray), f'arrays(): "{name}" is a {type(values).__name__}, expected a numpy array.')
        expect(
            values.dtype.kind in "biuf", f'arrays(): "{name}" has dtype {values.dtype}, which a file can\'t hold without pickle.'
        )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "component.safetensors"
        save_arrays(path, arrays)
        read = load_arrays(path)
    copy = type(component).from_arrays(component.config, read)
    again = copy.arrays()
    expect(again.keys() == arrays.keys(), f"Read back, arrays() has {sorted(again)}, and had {sorted(arrays)}.")
    for name, values in arrays.items():
        expect_equal(again[name], values, f'Read back, arrays() holds another "{name}"')
        expect(again[name].dtype == values.dtype, f'Read back, "{name}" is {again[name].dtype} and was {values.dtype}.')
    return copy
