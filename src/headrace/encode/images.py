"""What an image encoder takes: pixels, and nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError

Image = NDArray[np.uint8]
"""[height, width, 3], red, green and blue, rows from the top."""


def images_of(inputs: Sequence[Any], encoder: str) -> list[Image]:
    """The inputs as a list, from an array [n, h, w, 3] or a sequence of images of any sizes; DataError names the first that is
    none (a text, a null, floats, a channel too few). encoder: its name."""
    images = [] if isinstance(inputs, str) else list(inputs)
    if isinstance(inputs, str) or (isinstance(inputs, np.ndarray) and inputs.ndim == 3):
        raise DataError(f"{encoder} was given one input, expected a sequence of images. Wrap it: [image].")
    wrong = next((row for row, image in enumerate(images) if not is_image(image)), None)
    if wrong is not None:
        one = images[wrong]
        what = f"{one.dtype} {one.shape}" if isinstance(one, np.ndarray) else f"a {type(one).__name__}"
        raise DataError(
            f"{encoder} reads images alone: input {wrong} of {len(images)} is {what}, expected uint8 [height, width, 3]. "
            "Decode a file first; give a missing image no row."
        )
    return images


def is_image(one: Any) -> bool:
    return isinstance(one, np.ndarray) and one.dtype == np.uint8 and one.ndim == 3 and one.shape[2] == 3 and one.size > 0
