import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.encode.semantic_ids.anchors import Anchors, Centroids, interests, vectors_of
from headrace.encode.semantic_ids.ids import told_apart

CODES = np.array([[-1, -1], [0, 0], [0, 0], [0, 1], [1, 2], [-1, -1]], np.int32)
VECTORS = np.array([[0, 0], [1, 0], [0, 1], [0, 4], [-2, 0], [5, 5]], np.float32)
IDS = told_apart(CODES, (3, 3))


def anchors_of(codes, *, ids=""):
    codes = np.array(codes, np.int32)
    return Anchors(codes, np.zeros(codes.shape[:2], np.float32), 10, ids)


def test_an_anchor_is_the_mean_of_its_items_or_of_the_deepest_prefix_that_has_any():
    found = vectors_of(anchors_of([[[0, 0], [0, 1], [1, 0], [2, 0], [-1, -1]]]), IDS, VECTORS)[0]
    half = np.sqrt(0.5)
    everything = np.array([-1, 5]) / np.sqrt(26)
    np.testing.assert_allclose(found, [[half, half], [0, 1], [-1, 0], everything, [0, 0]], atol=1e-6)


def test_items_without_words_say_nothing_of_their_codes():
    silent = VECTORS.copy()
    silent[[1, 2]] = 0
    np.testing.assert_allclose(Centroids(IDS, silent).of(np.array([[0, 0]], np.int32)), [[0, 1]], atol=1e-6)


@given(seed=st.integers(0, 1000))
def test_as_a_loop_would_have_it(seed):
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 3, (12, 2)).astype(np.int32)
    codes[0] = -1
    vectors = draw.normal(size=(12, 3)).astype(np.float32)
    asked = draw.integers(0, 3, (4, 2)).astype(np.int32)
    found = Centroids(told_apart(codes, (3, 3)), vectors).of(asked)
    for anchor, vector in zip(asked, found, strict=True):
        depths = [(codes[1:, :depth] == anchor[:depth]).all(1) for depth in (2, 1, 0)]
        mean = vectors[1:][next(rows for rows in depths if rows.any())].mean(0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_interests_are_codes_without_the_level_that_tells_items_apart():
    found = interests(IDS)
    assert found.codes.tolist() == [[-1, -1], [0, 0], [0, 1], [1, 2]]
    assert found.sizes == (3, 3)


def test_they_are_put_down_and_picked_up():
    made = anchors_of([[[-1, -1]], [[1, 2]]], ids=IDS.fingerprint)
    again = Anchors.from_arrays(made.arrays())
    assert (again.codes == made.codes).all()
    assert (again.log_prob == made.log_prob).all()
    assert (again.as_of_us, again.ids) == (10, IDS.fingerprint)


def test_a_user_that_came_since_has_none():
    codes, log_prob = anchors_of([[[-1, -1], [-1, -1]], [[1, 2], [0, 0]]]).of(np.array([1, 7], np.int32), 1)
    assert codes.tolist() == [[[1, 2]], [[-1, -1]]]
    assert log_prob.tolist() == [[0], [-np.inf]]


@pytest.mark.parametrize(
    ("codes", "ids", "says"),
    [
        ([[[0]]], "", "1 codes each, and the semantic ids have 2 levels"),
        ([[[0, 3]]], "", r"user 0 has the anchor \[0, 3\], which is outside of \[3, 3\]"),
        ([[[0, -1]]], "", "outside of"),
        ([[[0, 0]]], "other", "written with the semantic ids other, and these are"),
    ],
)
def test_codes_of_another_catalogue_are_refused(codes, ids, says):
    with pytest.raises(DataError, match=says):
        anchors_of(codes, ids=ids).check(IDS)


def test_vectors_of_another_catalogue_are_refused():
    with pytest.raises(DataError, match="semantic ids of 6 items and vectors of 5"):
        vectors_of(anchors_of([[[0, 0]]]), IDS, VECTORS[:5])


def test_shapes_that_dont_belong_together_are_refused():
    with pytest.raises(DataError, match="expected"):
        Anchors(np.zeros((2, 3, 2), np.int32), np.zeros((2, 2), np.float32), 0)
