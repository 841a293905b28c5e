"""Codes of a catalogue, and of what is added to it."""

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float32
from headrace.encode.semantic_ids.quantiser import coded, extended
from headrace.encode.semantic_ids.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from tests.encode.semantic_ids.clustered import clustered


@pytest.fixture(scope="module")
def vectors() -> Float32:
    found = clustered(200)
    found[0] = found[7] = 0
    found[20:31] = found[19]  # twelve items say the same
    return found


@pytest.fixture(scope="module")
def quantiser(vectors: Float32) -> ResidualKMeans:
    made = ResidualKMeans(ResidualKMeansConfig(levels=2, codes=8))
    made.fit_vectors(vectors[vectors.any(1)])
    return made


def test_items_say_their_codes_and_those_without_a_vector_have_none(quantiser: ResidualKMeans, vectors: Float32) -> None:
    ids = coded(quantiser, vectors, items="what it was")
    assert ids.items == "what it was"
    assert np.flatnonzero(~ids.there).tolist() == [0, 7]
    assert np.array_equal(ids.codes[ids.there, :2], quantiser.encode(vectors[ids.there]))


def test_the_last_level_grows_where_more_items_say_the_same_than_it_had_symbols(
    quantiser: ResidualKMeans, vectors: Float32
) -> None:
    ids = coded(quantiser, vectors)
    assert ids.sizes[:2] == (8, 8)
    assert ids.sizes[2] >= 12
    assert ids.sizes[2] == ids.codes[:, 2].max() + 1
    assert (np.diff(ids.codes[19:31, 2]) >= 1).all(), "in the order of their numbers"


def test_items_that_are_appended_get_codes_and_move_nobodys(quantiser: ResidualKMeans, vectors: Float32) -> None:
    before = coded(quantiser, vectors)
    more = np.concatenate([vectors, vectors[19:20], clustered(30, seed=5), np.zeros((1, 12), np.float32)])
    after = extended(before, quantiser, more, items="now")
    assert np.array_equal(after.codes[:200], before.codes)
    assert np.array_equal(after.codes[200, :2], before.codes[19, :2])
    assert after.codes[200, 2] == before.codes[(before.codes[:, :2] == before.codes[19, :2]).all(1), 2].max() + 1
    assert not after.there[-1]
    assert after.items == "now"
    assert np.array_equal(after.codes, coded(quantiser, more).codes), "one by one or all at once is the same"


def test_an_item_without_codes_keeps_none_though_it_has_a_vector_now(quantiser: ResidualKMeans, vectors: Float32) -> None:
    before = coded(quantiser, vectors)
    grown = np.concatenate([vectors, vectors[3:4]])
    grown[7] = vectors[3]
    assert np.array_equal(extended(before, quantiser, grown).codes[:200], before.codes)


def test_fewer_items_or_another_quantiser_are_refused(quantiser: ResidualKMeans, vectors: Float32) -> None:
    ids = coded(quantiser, vectors)
    with pytest.raises(DataError, match="200 items .* can't be extended to 150 items"):
        extended(ids, quantiser, vectors[:150])
    other = ResidualKMeans(ResidualKMeansConfig(levels=3, codes=8))
    other.fit_vectors(vectors[vectors.any(1)])
    with pytest.raises(DataError, match="the quantiser of those codes"):
        extended(ids, other, vectors)
