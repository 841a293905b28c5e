"""Each promise of an encoder is broken once, and the suite has to say which."""

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.encode.cache import CachedEncoder
from headrace.encode.images import images_of
from headrace.encode.tfidf import Tfidf, TfidfConfig
from headrace.testing.encoder import IMAGES, TEXTS, check_encoder, check_image_encoder


class Spoils(Tfidf):
    spoil, calls = "", 0

    def encode(self, inputs, kind):
        if self.spoil == "takes images":
            inputs = [one if isinstance(one, str) else "" for one in inputs]
        vectors = super().encode(inputs, kind)
        self.calls += 1
        match self.spoil:
            case "wide":
                return vectors.astype(np.float64)
            case "narrow":
                return vectors[:, 1:]
            case "nan":
                return np.where(vectors.any(1, keepdims=True), vectors, np.nan)
            case "flat":
                return np.ones_like(vectors)
            case "drifts":
                return vectors + np.float32(self.calls * 1e-3)
            case "company":
                return vectors - vectors.mean(0) if len(vectors) else vectors
            case "order":
                return vectors * np.arange(1, len(vectors) + 1, dtype=np.float32)[:, None]
        return vectors


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("takes images", "takes an image"),
        ("wide", "float64, expected float32"),
        ("narrow", "shape"),
        ("nan", "NaN or infinity"),
        ("flat", "same vector"),
        ("drifts", "second time"),
        ("company", "alone has another"),
        ("order", "another order"),
    ],
)
def test_a_broken_encoder(spoil, says):
    encoder = Spoils(TfidfConfig(dim=4))
    encoder.fit(TEXTS, np.zeros(len(TEXTS), np.int64), 1)
    check_encoder(encoder)
    encoder.spoil = spoil
    with pytest.raises(AssertionError, match=says):
        check_encoder(encoder)


def test_one_that_forgets_its_directions_when_it_is_stored():
    class Forgets(Tfidf):
        @classmethod
        def from_arrays(cls, config, arrays):
            made = super().from_arrays(config, arrays)
            made.weight = made.weight * 2
            return made

    encoder = Forgets(TfidfConfig(dim=4))
    encoder.fit(TEXTS, np.zeros(len(TEXTS), np.int64), 1)
    with pytest.raises(AssertionError, match="weight"):
        check_encoder(encoder)


class Thumbnails:
    """A real encoder of images, the smallest: mean colours of a 3 × 3 grid, an image smaller than that read in its middle."""

    dim, fingerprint, spoil, asked = 27, "thumbnails/1", "", 0

    def encode(self, inputs, kind):
        if self.spoil == "takes floats":
            inputs = [
                one.astype(np.uint8) if getattr(one, "dtype", None) == np.float32 and one.ndim == 3 else one for one in inputs
            ]
        images = images_of(inputs, "thumbnails")
        self.asked += len(images)
        found = np.zeros((len(images), 27), np.float32)
        for row, image in enumerate(images):
            cuts = [np.linspace(0, size, 4).astype(int) for size in image.shape[:2]]
            cells = [
                image[min(y0, y1 - 1) if y1 else 0 : max(y1, 1), min(x0, x1 - 1) if x1 else 0 : max(x1, 1)].mean((0, 1))
                for y0, y1 in zip(cuts[0], cuts[0][1:], strict=False)
                for x0, x1 in zip(cuts[1], cuts[1][1:], strict=False)
            ]
            found[row] = np.concatenate(cells) / 255
        return found - found.mean(0) if self.spoil == "company" and len(found) else found


def test_an_image_encoder_plugs_in():
    check_image_encoder(Thumbnails())


@pytest.mark.parametrize(("spoil", "says"), [("takes floats", "takes an image of floats"), ("company", "alone has another")])
def test_a_broken_image_encoder(spoil, says):
    encoder = Thumbnails()
    encoder.spoil = spoil
    with pytest.raises(AssertionError, match=says):
        check_image_encoder(encoder)


def test_a_text_encoder_is_none_of_images():
    encoder = Tfidf(TfidfConfig(dim=4))
    encoder.fit(TEXTS, np.zeros(len(TEXTS), np.int64), 1)
    with pytest.raises(DataError, match="reads text alone"):
        check_image_encoder(encoder)


def test_images_are_encoded_once(tmp_path):
    inner = Thumbnails()
    check_image_encoder(CachedEncoder(inner, tmp_path))
    before = inner.asked
    again = CachedEncoder(inner, tmp_path).encode(IMAGES, "item")
    assert inner.asked == before
    assert np.array_equal(again, Thumbnails().encode(IMAGES, "item"))
    wide, tall = np.zeros((1, 4, 3), np.uint8), np.zeros((4, 1, 3), np.uint8)
    CachedEncoder(inner, tmp_path).encode([wide, tall], "item")
    assert inner.asked == before + 2, "the same bytes in another shape are another image"
