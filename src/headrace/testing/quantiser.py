"""What every quantiser promises: each vector its codes, in any company and for ever, inside the symbols it names."""

from typing import Any

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float32
from headrace.contracts.seams import Stored
from headrace.encode.semantic_ids.quantiser import Quantiser
from headrace.testing.expect import expect, expect_equal
from headrace.testing.stored import check_stored


def check_quantiser(quantiser: Any, vectors: Float32) -> None:
    """quantiser: fitted. vectors [n, dim]: those it was fitted on, or like them."""
    expect(isinstance(quantiser, Quantiser), f"{type(quantiser).__name__} lacks encode, decode, dim or sizes.")
    given, levels = vectors.copy(), len(quantiser.sizes)
    codes = quantiser.encode(vectors)
    expect_equal(vectors, given, "encode changed the vectors it was given")
    expect(codes.dtype == np.int32, f"Codes are {codes.dtype}, expected int32.")
    expect(codes.shape == (len(vectors), levels), f"Codes have shape {codes.shape}, expected {(len(vectors), levels)}.")
    expect(((codes >= 0) & (codes < quantiser.sizes)).all(), f"A code is outside of {list(quantiser.sizes)} symbols a level.")
    expect(np.ptp(codes[:, 0]) > 0, "Every vector has the same first code.")

    expect_equal(quantiser.encode(vectors), codes, "Encoded a second time, the codes are others")
    expect_equal(quantiser.encode(vectors[::-1])[::-1], codes, "In another order, the codes are others")
    alone = np.concatenate([quantiser.encode(vectors[row : row + 1]) for row in range(min(len(vectors), 20))])
    expect_equal(alone, codes[: len(alone)], "Encoded alone, the codes are others")
    expect(quantiser.encode(vectors[:0]).shape == (0, levels), f"No vector has other than shape (0, {levels}).")
    for depth in range(levels + 1):
        said = quantiser.decode(codes[:, :depth])
        expect(said.shape == vectors.shape and said.dtype == np.float32, f"decode gives {said.dtype} {said.shape}.")
        expect(np.isfinite(said).all(), f"decode of {depth} levels holds NaN or infinity.")
    _refuses(quantiser, vectors)
    expect(isinstance(quantiser, Stored), f"{type(quantiser).__name__} lacks arrays() or from_arrays(config, arrays).")
    copy = check_stored(quantiser)
    expect_equal(copy.encode(vectors), codes, "Read back, the codes are others")


def _refuses(quantiser: Any, vectors: Float32) -> None:
    wrong = {
        "vectors of another dim": vectors[:, 1:],
        "one vector": vectors[0],
        "NaN": np.where(vectors == vectors[0], np.nan, vectors),
    }
    for what, given in wrong.items():
        try:
            quantiser.encode(given)
        except DataError:
            continue
        raise AssertionError(f"The quantiser takes {what}: expected a DataError.")
