"""The default quantiser."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float32
from headrace.encode.semantic_ids.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from headrace.testing.quantiser import check_quantiser
from tests.encode.semantic_ids.clustered import chosen, clustered

SMALL = ResidualKMeansConfig(levels=3, codes=6)
VECTORS = clustered()


def fitted(vectors: Float32 = VECTORS, config: ResidualKMeansConfig = SMALL, seed: int = 0) -> ResidualKMeans:
    made = ResidualKMeans(config, seed=seed)
    made.fit_vectors(vectors)
    return made


def test_contract() -> None:
    check_quantiser(fitted(), VECTORS)


def test_the_same_seed_gives_the_same_bits_and_another_others() -> None:
    one, again, other = (fitted(seed=seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(one.centroids, again.centroids, strict=True))
    assert not np.array_equal(one.encode(VECTORS), other.encode(VECTORS))


def test_each_level_is_the_nearest_centroid_to_what_is_left() -> None:
    made = fitted()
    codes, left = made.encode(VECTORS), VECTORS - made.mean
    for level, centroids in enumerate(made.centroids):
        squared = np.square(left[:, None] - centroids).sum(-1)
        assert np.array_equal(codes[:, level], squared.argmin(1))
        left = left - centroids[codes[:, level]]
    np.testing.assert_allclose(made.decode(codes), VECTORS - left, atol=1e-5)


def test_every_level_leaves_less() -> None:
    made = fitted()
    codes = made.encode(VECTORS)
    errors = [np.square(VECTORS - made.decode(codes[:, :depth])).sum(1).mean() for depth in range(4)]
    assert (np.diff(errors) < 0).all()
    assert errors[1] < 0.3 * errors[0], "six groups lie apart, and there are six symbols"


def test_more_codes_than_items_use_fewer_symbols_and_say_all() -> None:
    vectors = np.repeat(clustered(9), 3, 0)
    made = fitted(vectors, ResidualKMeansConfig(levels=3, codes=32))
    codes = made.encode(vectors)
    assert made.sizes == (32, 32, 32)
    assert len(np.unique(codes[:, 0])) == 9
    assert not codes[:, 1:].any(), "nothing is left to say, so rounding is not coded"
    np.testing.assert_allclose(made.decode(codes), vectors, atol=1e-5)


def test_one_item_alone_is_coded() -> None:
    made = fitted(VECTORS[:1])
    assert made.encode(VECTORS[:1]).tolist() == [[0, 0, 0]]


def test_items_nobody_chose_before_the_cut_move_no_centroid() -> None:
    vectors = np.concatenate([np.zeros((1, 12), np.float32), VECTORS])
    seen = np.arange(len(vectors)) % 3 == 1
    made, moved, whole = (ResidualKMeans(SMALL) for _ in range(3))
    made.fit(chosen(seen), {"item_vectors": vectors})
    moved.fit(chosen(seen), {"item_vectors": np.where(seen[:, None], vectors, 100 * vectors + 7)})
    whole.fit(chosen(np.arange(len(vectors)) > 0), {"item_vectors": vectors})
    assert all(np.array_equal(a, b) for a, b in zip(made.centroids, moved.centroids, strict=True))
    assert np.array_equal(made.mean, vectors[seen].mean(0, dtype=np.float64).astype(np.float32))
    assert not np.array_equal(made.centroids[0], whole.centroids[0]), "had they counted, this test would see it"


def test_items_without_a_vector_do_not_count_and_none_at_all_is_an_error() -> None:
    vectors = np.concatenate([np.zeros((5, 12), np.float32), VECTORS])
    everything = chosen(np.arange(len(vectors)) > 0)
    made = ResidualKMeans(SMALL)
    made.fit(everything, {"item_vectors": vectors})
    assert all(np.array_equal(a, b) for a, b in zip(made.centroids, fitted().centroids, strict=True))
    with pytest.raises(DataError, match="none of the items that were chosen before the cut has a text"):
        made.fit(replace(everything), {"item_vectors": np.zeros_like(vectors)})
