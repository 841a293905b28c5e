"""Each promise of an encoder is broken once, and the suite has to say which."""

import numpy as np
import pytest

from headrace.encode.tfidf import Tfidf, TfidfConfig
from headrace.testing.encoder import TEXTS, check_encoder


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
