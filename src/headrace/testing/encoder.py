"""What every encoder promises: one finite vector a text or image, the same in any company, named by a fingerprint."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError
from headrace.contracts.seams import Encoder, Stored
from headrace.testing.expect import expect, expect_close, expect_equal
from headrace.testing.stored import check_stored

TEXTS = ("a teapot of cast iron", "Tea, green, 100 g", "", "?!", "tea " * 400, "thé vert — 緑茶", "a teapot of cast iron")
"""With what breaks: nothing, no word, too many words, other scripts, a text that stands twice."""
_GREY = np.linspace(0, 255, 12 * 16 * 3).astype(np.uint8).reshape(12, 16, 3)
IMAGES: tuple[NDArray[np.uint8], ...] = (
    _GREY,
    _GREY[::-1].copy(),
    np.zeros((1, 1, 3), np.uint8),
    np.full((5, 40, 3), 255, np.uint8),
    _GREY.transpose(1, 0, 2),
    _GREY,
)
"""With what breaks: one pixel, one colour, other sizes, an array that is no block of memory, an image that stands twice."""
_KINDS: tuple[Literal["query", "item"], ...] = ("query", "item")


def check_encoder(encoder: Encoder, texts: Sequence[str] = TEXTS) -> None:
    """encoder: of texts. texts: some it can tell apart, on top of which an empty one is tried."""
    _check(encoder, texts, "text")
    for kind in _KINDS:
        expect(np.isfinite(encoder.encode([""], kind)).all(), "The empty text's vector holds NaN or infinity.")
    _refuses(
        encoder, {"an image": ["a text", IMAGES[0]], "a missing text": [None], "one string for a sequence of them": "a text"}
    )


def check_image_encoder(encoder: Encoder, images: Sequence[NDArray[np.uint8]] = IMAGES) -> None:
    """encoder: of images, uint8 [height, width, 3]. images: some it can tell apart."""
    _check(encoder, images, "image")
    alike = np.stack([images[0], 255 - images[0]])
    both = encoder.encode(alike, "item")  # type: ignore[arg-type]  # an array is a sequence of images too
    expect_close(both, encoder.encode(list(alike), "item"), "As an array [n, h, w, 3], the vectors are others", absolute=1e-5)
    wrong = {"a text": ["a text"], "a missing image": [None], "one image for a sequence of them": images[0]}
    floats, grey = images[0].astype(np.float32), images[0][:, :, 0]
    _refuses(encoder, {**wrong, "an image of floats": [floats], "an image without colours": [grey]})


def _check(encoder: Encoder, inputs: Sequence[Any], what: str) -> None:
    expect(isinstance(encoder, Encoder), f"{type(encoder).__name__} lacks encode(inputs, kind), dim or fingerprint.")
    expect(isinstance(encoder.fingerprint, str) and encoder.fingerprint, "fingerprint is not a name.")
    for kind in _KINDS:
        vectors = encoder.encode(inputs, kind)
        expect(vectors.dtype == np.float32, f"Vectors are {vectors.dtype}, expected float32.")
        wanted = (len(inputs), encoder.dim)
        expect(vectors.shape == wanted, f"Vectors have shape {vectors.shape}, expected {wanted}.")
        expect(np.isfinite(vectors).all(), "A vector holds NaN or infinity.")
        expect(np.ptp(vectors, axis=0).any(), f"Every {what} has the same vector.")
        expect_equal(encoder.encode(inputs, kind), vectors, "Encoded a second time, the vectors are others")
        back = encoder.encode(list(reversed(inputs)), kind)[::-1]
        expect_close(back, vectors, "In another order, the vectors are others", absolute=1e-5)
        for row, one in enumerate(inputs):
            alone = encoder.encode([one], kind)
            expect_close(alone[0], vectors[row], f"{what.capitalize()} {row} alone has another vector", absolute=1e-5)
        expect(encoder.encode([], kind).shape == (0, encoder.dim), f"No {what} has other than shape (0, {encoder.dim}).")
    if isinstance(encoder, Stored):
        copy = check_stored(encoder)
        expect(copy.fingerprint == encoder.fingerprint, "Read back, the encoder has another fingerprint.")
        expect_equal(copy.encode(inputs, "item"), encoder.encode(inputs, "item"), "Read back, the vectors are others")


def _refuses(encoder: Encoder, wrong: Mapping[str, Any]) -> None:
    for what, inputs in wrong.items():
        try:
            encoder.encode(inputs, "item")
        except DataError:
            continue
        raise AssertionError(f"The encoder takes {what}: expected a DataError.")
