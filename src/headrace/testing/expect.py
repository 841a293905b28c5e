"""Assertions that say what was expected, also where Python's own are switched off."""

import numpy as np
from numpy.typing import ArrayLike


def expect(holds: object, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def expect_equal(found: ArrayLike, wanted: ArrayLike, message: str) -> None:
    """Bit for bit, NaN equal to NaN."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    expect(found.shape == wanted.shape, f"{message}: shapes {found.shape} and {wanted.shape} differ.")
    expect(
        np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f"), f"{message}: {_first_difference(found, wanted, 0.0)}"
    )


def expect_close(found: ArrayLike, wanted: ArrayLike, message: str, *, relative: float = 1e-5, absolute: float = 1e-6) -> None:
    """The defaults are float32's: sums of another order differ in the last bits."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    expect(found.shape == wanted.shape, f"{message}: shapes {found.shape} and {wanted.shape} differ.")
    close = np.allclose(found, wanted, rtol=relative, atol=absolute, equal_nan=True)
    expect(close, f"{message}: {_first_difference(found, wanted, absolute)}")


def _first_difference(found: ArrayLike, wanted: ArrayLike, absolute: float) -> str:
    found, wanted = np.atleast_1d(found), np.atleast_1d(wanted)
    differ = found != wanted
    if absolute:
        differ &= ~np.isclose(found, wanted, rtol=0, atol=absolute, equal_nan=True)
    if not differ.any():
        return "they differ."
    place = tuple(int(axis[0]) for axis in np.nonzero(differ))
    return f"at {place} {found[place]} instead of {wanted[place]} ({int(differ.sum())} of {differ.size} differ)."
