from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.contracts.errors import ArtifactError


def test_arrays_come_back_as_they_were(tmp_path):
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays: dict[str, NDArray[Any]] = {
        "cut": whole[:, ::2],
        "turned": whole.T,
        "none": np.zeros((0, 3), np.int64),
        "number": np.array(7),
        "flags": np.array([True]),
    }
    save_arrays(tmp_path / "a.safetensors", arrays)
    found = load_arrays(tmp_path / "a.safetensors")
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        assert found[name].dtype == values.dtype
        assert found[name].shape == values.shape
        assert np.array_equal(found[name], values)


def test_a_broken_file_says_what_to_do(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"not arrays")
    for name in ("a", "missing"):
        with pytest.raises(ArtifactError, match="Delete its folder and build again"):
            load_arrays(tmp_path / f"{name}.safetensors")


def test_they_are_views_of_the_file_and_writing_to_them_leaves_it_alone(tmp_path):
    save_arrays(
        tmp_path / "a.safetensors", {"flags": np.array([True]), "wide": np.arange(1000.0), "narrow": np.arange(7, dtype=np.int8)}
    )
    found = load_arrays(tmp_path / "a.safetensors")
    assert all(not values.flags.owndata and values.flags.aligned and values.flags.writeable for values in found.values())
    found["wide"][:] = 0
    assert load_arrays(tmp_path / "a.safetensors")["wide"].tolist() == list(range(1000))
