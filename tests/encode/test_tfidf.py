import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.encode.tfidf import Tfidf, TfidfConfig, _directions
from headrace.testing.encoder import TEXTS, check_encoder

words = st.lists(st.sampled_from(["tea", "cup", "Iron", "kettle", "été", "7", "-"]), max_size=6).map(" ".join)


def fitted(texts, **settings):
    made = Tfidf(TfidfConfig(**settings))
    made.fit(texts, np.zeros(len(texts), np.int64), 1)
    return made


def slow(texts, asked):
    """[asked, terms] by dictionaries, as scikit-learn's TfidfVectorizer(ngram_range=(1, 2)) defines it."""

    def terms(text):
        found = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
        return found + list(pairwise(found))

    vocabulary = sorted({term for text in texts for term in terms(text)}, key=str)
    weight = {term: math.log((1 + len(texts)) / (1 + sum(term in terms(text) for text in texts))) + 1 for term in vocabulary}
    x = np.array([[terms(text).count(term) * weight[term] for term in vocabulary] for text in asked])
    x = x.reshape(len(asked), len(vocabulary))
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@pytest.mark.parametrize("settings", [{"dim": 3}, {"dim": 40}, {"dim": 3, "features": 5}])
def test_contract(settings):
    check_encoder(fitted(TEXTS, **settings))


def test_before_it_is_fitted_no_term_is_known():
    assert not Tfidf(TfidfConfig(dim=3)).encode(["tea"], "item").any()


@given(st.lists(words, max_size=8), st.lists(words, max_size=4))
def test_with_every_direction_kept_likeness_is_that_of_the_terms(texts, asked):
    """Rotations and signs aside, a whole SVD changes no inner product of texts it was fitted on."""
    vectors = fitted(texts, dim=64).encode(texts, "item")
    wanted = slow(texts, texts)
    np.testing.assert_allclose(vectors @ vectors.T, wanted @ wanted.T, rtol=0, atol=2e-5)
    assert fitted(texts, dim=64).encode(asked, "query").shape == (len(asked), 64)


def test_directions_are_those_of_a_dense_svd():
    draw = rng(0, "matrix")
    x = (draw.normal(size=(60, 8)) * 2.0 ** -np.arange(8)) @ draw.normal(size=(8, 90)) + 1e-3 * draw.normal(size=(60, 90))
    found = _directions(x.astype(np.float32), 5, rng(1, "directions"))
    wanted = np.linalg.svd(x)[2][:5].T
    np.testing.assert_allclose(np.abs(np.sum(found * wanted, 0)), 1, atol=1e-4)
    assert (found[np.abs(found).argmax(0), np.arange(5)] > 0).all()


def test_nothing_of_the_cut_or_later_has_a_part_in_the_fit():
    texts, late = ["green tea", "iron kettle", "tea kettle"], ["tea of the cut", "green green green"]
    cut = Tfidf(TfidfConfig(dim=4))
    cut.fit([late[0], *texts, late[1]], np.array([10, 1, 9, 2, 11]), 10)
    early = fitted(texts, dim=4)
    assert cut.fingerprint == early.fingerprint
    later = Tfidf(TfidfConfig(dim=4))
    later.fit([late[0], *texts, late[1]], np.array([10, 1, 9, 2, 11]), 11)
    assert later.fingerprint != early.fingerprint


def test_it_is_the_same_each_time_and_another_for_other_settings():
    prints = [fitted(TEXTS, dim=3).fingerprint, fitted(TEXTS, dim=3).fingerprint, fitted(TEXTS, dim=4).fingerprint]
    assert prints[0] == prints[1] != prints[2]
    assert fitted(TEXTS[:-1], dim=3).fingerprint != prints[0]


def test_the_terms_of_most_texts_are_kept():
    kept = fitted(["tea cup", "tea iron", "cup tea"], features=2, dim=2)  # tea 3, cup 2, every other term 1
    assert kept.encode(["iron", "tea", "cup", "tea iron"], "item").any(1).tolist() == [False, True, True, True]


def test_a_text_without_its_time_is_refused():
    with pytest.raises(DataError, match="2 texts and 1 times"):
        Tfidf().fit(["a", "b"], np.zeros(1, np.int64), 1)
