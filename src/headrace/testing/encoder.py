"""What every text encoder promises: one finite vector a text, the same in any company, named by a fingerprint."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.seams import Encoder, Stored
from headrace.testing.expect import expect, expect_close, expect_equal
from headrace.testing.stored import check_stored

TEXTS = ("a teapot of cast iron", "Tea, green, 100 g", "", "?!", "tea " * 400, "thé vert — 緑茶", "a teapot of cast iron")
"""With what breaks: nothing, no word, too many words, other scripts, a text that stands twice."""
_KINDS: tuple[Literal["query", "item"], ...] = ("query", "item")


def check_encoder(encoder: Encoder, texts: Sequence[str] = TEXTS) -> None:
    """encoder: of texts. texts: some it can tell apart, on top of which an empty one is tried."""
    expect(isinstance(encoder, Encoder), f"{type(encoder).__name__} lacks encode(inputs, kind), dim or fingerprint.")
    expect(isinstance(encoder.fingerprint, str) and encoder.fingerprint, "fingerprint is not a name.")
    for kind in _KINDS:
        vectors = encoder.encode(texts, kind)
        expect(vectors.dtype == np.float32, f"Vectors are {vectors.dtype}, expected float32.")
        wanted = (len(texts), encoder.dim)
        expect(vectors.shape == wanted, f"Vectors have shape {vectors.shape}, expected {wanted}.")
        expect(np.isfinite(vectors).all(), "A vector holds NaN or infinity.")
        expect(np.ptp(vectors, axis=0).any(), "Every text has the same vector.")
        expect_equal(encoder.encode(texts, kind), vectors, "Encoded a second time, the vectors are others")
        back = encoder.encode(list(reversed(texts)), kind)[::-1]
        expect_close(back, vectors, "In another order, the vectors are others", absolute=1e-5)
        for row, text in enumerate(texts):
            alone = encoder.encode([text], kind)
            expect_close(alone[0], vectors[row], f"Text {row} alone has another vector", absolute=1e-5)
        expect(encoder.encode([], kind).shape == (0, encoder.dim), f"No text has other than shape (0, {encoder.dim}).")
        expect(np.isfinite(encoder.encode([""], kind)).all(), "The empty text's vector holds NaN or infinity.")
    _refuses(encoder)
    if isinstance(encoder, Stored):
        copy = check_stored(encoder)
        expect(copy.fingerprint == encoder.fingerprint, "Read back, the encoder has another fingerprint.")
        expect_equal(copy.encode(texts, "item"), encoder.encode(texts, "item"), "Read back, the vectors are others")


def _refuses(encoder: Encoder) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    wrong: dict[str, Callable[[], Any]] = {
        "an image": lambda: encoder.encode(["a text", image], "item"),
        "a missing text": lambda: encoder.encode([None], "item"),
        "one string for a sequence of them": lambda: encoder.encode("a text", "item"),
    }
    for what, work in wrong.items():
        try:
            work()
        except DataError:
            continue
        raise AssertionError(f"The encoder takes {what}: expected a DataError.")
