"""Items on a plane, so that every cosine is known by heart: 1 east, 2 north, 3 west, 4 north-east, 5 without a vector."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Requests
from headrace.encode.semantic_ids.anchors import Anchors
from headrace.encode.semantic_ids.ids import told_apart
from headrace.methods.prerank.gpl import GPL, GPLConfig, consistency, dispersion, relevance
from headrace.testing import check_pseudo_labeler
from headrace.testing.examples import history_of
from tests.methods.prerank.impressions import some_impressions

HALF = np.sqrt(0.5)
VECTORS = np.array([[0, 0], [2, 0], [0, 1], [-1, 0], [3, 3], [0, 0]], np.float32)
CODES = np.array([[-1, -1], [0, 0], [1, 0], [0, 1], [1, 1], [-1, -1]], np.int32)
IDS = told_apart(CODES, (2, 2))
EAST, NORTH, WEST, BETWEEN, NONE = [0, 0], [1, 0], [0, 1], [1, 1], [-1, -1]
ALL = np.array([[1, 2, 3, 4, 5, 0]] * 4, np.int32)
PLAIN = GPLConfig(n=2)


def requests_of(rows=([1], [1, 2], [3], [])):
    """Of users 1, 2, 3, 4, a second after the anchors."""
    n = len(rows)
    ids = np.array([f"r{row}" for row in range(n)])
    return Requests(ids, np.arange(1, n + 1, dtype=np.int32), np.full(n, 1_000_001), history_of(rows))


def anchors_of(*, ids=IDS.fingerprint):
    """User 1: east and north, sure of east (1/4 = (1/2)²) and less of north (1/16). 2: east twice over. 3: north. 4: none."""
    codes = np.array([[NONE, NONE], [EAST, NORTH], [EAST, NONE], [NORTH, NONE], [NONE, NONE]], np.int32)
    probability = np.array([[0, 0], [1 / 4, 1 / 16], [1, 0], [1 / 4, 0], [0, 0]])
    with np.errstate(divide="ignore"):
        return Anchors(codes, np.log(probability).astype(np.float32), 1_000_000, ids)


def artifacts_of(**others):
    return {"item_vectors": VECTORS, "semantic_ids": IDS, "anchors": anchors_of(), **others}


def lists_of(label, known=True, items=ALL, requests=None):
    candidates = Candidates(items, {"one": np.zeros(items.shape, np.float32)})
    known = np.broadcast_to(known, items.shape) & (items > 0)
    return CandidateLists(requests or requests_of(), candidates, np.asarray(label, np.float32), known)


def fitted(settings=PLAIN, **others):
    """What points where the user's first anchor does was chosen."""
    label = np.zeros(ALL.shape)
    label[:, 0], label[2, :2] = 1, [0, 1]
    labeler = GPL(settings)
    labeler.fit(lists_of(label), artifacts_of(**others))
    return labeler


def labels(settings=PLAIN, **others):
    return fitted(settings, **others).label(requests_of(), Candidates(ALL, {}))


def raw(settings):
    """Weights before they are scaled."""
    return fitted(settings)._read(requests_of(), Candidates(ALL, {}))[1]


def only(**exponents):
    return replace(PLAIN, **({"dispersion": 0.0, "history": 0.0, "confidence": 0.0} | exponents))


def test_contract():
    draw, lists = np.random.default_rng(0), some_impressions()
    vectors = draw.normal(size=(20, 6)).astype(np.float32)
    items = np.arange(20)
    codes = np.where(items[:, None] > 0, np.stack([items % 3, items % 4], 1), -1).astype(np.int32)
    written = draw.integers(0, 3, (25, 4, 2)).astype(np.int32)
    written[::5] = -1
    anchors = Anchors(written, -draw.random((25, 4)).astype(np.float32), 0)
    artifacts = {"item_vectors": vectors, "semantic_ids": told_apart(codes, (3, 4)), "anchors": anchors}
    for settings in (GPLConfig(n=3), GPLConfig(anchors="history", n=3)):
        check_pseudo_labeler(GPL(settings), lists, artifacts)


def test_relevance_is_the_largest_cosine():
    score, which = relevance(VECTORS[None, 1:4], np.array([[[1, 0], [0, 1]]], np.float32), np.ones((1, 2), bool))
    assert score.tolist() == [[2, 1, 0]]  # of length 1 it would be 1, 1, 0: lengths are the caller's
    assert which.tolist() == [[0, 1, 1]]
    score, which = relevance(VECTORS[None, 2:3], np.array([[[1, 0], [0, 1]]], np.float32), np.array([[True, False]]))
    assert score.tolist() == [[0]]


def test_the_label_is_a_probability_on_the_scale_of_what_was_shown():
    found, labeler = labels(), fitted()
    user = np.array([1, 1, 0, HALF])  # user 1, east and north
    wanted = 1 / (1 + np.exp(-(user - labeler.middle) / labeler.temperature))
    np.testing.assert_allclose(found.label[0, :4], wanted, rtol=1e-5)
    north = np.array([0, 1, 0, HALF])
    np.testing.assert_allclose(found.label[2, :4], 1 / (1 + np.exp(-(north - labeler.middle) / labeler.temperature)), rtol=1e-5)


def test_labels_of_what_was_shown_have_its_rate():
    """Logistic regression with a constant: the mean of the labels is the mean of the clicks, by Platt's smoothed targets."""
    draw = np.random.default_rng(0)
    items = draw.integers(1, 5, (400, 6)).astype(np.int32)
    requests = requests_of([[1]] * 400)
    requests = replace(requests, users=draw.integers(1, 4, 400).astype(np.int32))
    label = (draw.random(items.shape) < 0.1 + 0.2 * (items == 1)).astype(np.float32)
    labeler = GPL(PLAIN)
    labeler.fit(lists_of(label, items=items, requests=requests), artifacts_of())
    found = labeler.label(requests, Candidates(items, {}))
    assert found.label.mean() == pytest.approx(label.mean(), abs=1e-3)


def test_dispersion_by_hand():
    """East and north: their mean is (1/2, 1/2), of length √½. One anchor alone, or none: 1 and 0."""
    anchors = np.array([[[1, 0], [0, 1]], [[1, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 0], [-1, 0]]], np.float32)
    there = np.array([[True, True], [True, False], [False, False], [True, True]])
    np.testing.assert_allclose(dispersion(anchors, there), [HALF, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(raw(only(dispersion=1.0))[:3, 0], [HALF, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(raw(only(dispersion=0.5))[0, 0], HALF**0.5, rtol=1e-6)


def test_history_by_hand():
    """User 1 has had east alone: nothing there agrees with the anchor north. User 3 had west, and north was foreseen."""
    past, anchors = np.array([[[1, 0], [0, 0]]], np.float32), np.array([[[1, 0], [HALF, HALF], [-1, 0]]], np.float32)
    np.testing.assert_allclose(consistency(anchors, past), [[1, HALF, 0]], rtol=1e-6)
    found = raw(only(history=1.0))
    np.testing.assert_allclose(found[0, :3], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found[2, :4], 0, atol=1e-6)
    np.testing.assert_allclose(found[1, 0], 1, rtol=1e-6)


def test_confidence_by_hand():
    """P(east) = 1/4 over two codes: 1/2 a code; P(north) = 1/16: 1/4 a code."""
    found = raw(only(confidence=1.0))
    np.testing.assert_allclose(found[0, :2], [1 / 2, 1 / 4], rtol=1e-5)
    np.testing.assert_allclose(found[1:3, 0], [1, 1 / 2], rtol=1e-5)


def test_the_weight_is_their_product_over_its_mean_and_clipped():
    thirds = raw(PLAIN)
    np.testing.assert_allclose(thirds[0, 0], (HALF * 1 * 1 / 2) ** (1 / 3), rtol=1e-5)
    np.testing.assert_allclose(thirds[1, 0], 1, rtol=1e-5)
    told = thirds[:3, :4]
    found = labels().weight
    np.testing.assert_allclose(found[:3, :4], np.clip(told / told.mean(), 0.05, 3), rtol=1e-5)
    assert found[0, 1] == np.float32(0.05), "no agreement at all is still an opinion"
    loose = labels(replace(PLAIN, least=1e-9, most=1e9)).weight
    assert loose[:3, :4].mean() == pytest.approx(1, rel=1e-5)


def test_the_mean_weight_is_of_what_was_not_shown():
    known = np.arange(6) != 1
    labeler = GPL(replace(PLAIN, least=1e-9, most=1e9))
    labeler.fit(lists_of(np.eye(4, 6), known=known), artifacts_of())
    found = labeler.label(requests_of(), Candidates(np.where(known, 0, ALL), {})).weight
    assert found[:3, 1].mean() == pytest.approx(1, rel=1e-5)
    assert found[1, 1] > 1 > found[0, 1]


def test_no_anchors_no_vector_and_no_candidate_have_no_say():
    found = labels()
    assert not found.weight[3].any(), "user 4 has no anchors"
    assert not found.weight[:, 4:].any(), "item 5 has no vector, and place 6 no item"
    assert (found.weight[:3, :4] > 0).all()
    newer = fitted().label(replace(requests_of(), users=np.full(4, 99, np.int32)), Candidates(ALL + 50, {}))
    assert not newer.weight.any(), "users and items that came since"


def test_switches():
    flat = labels(replace(PLAIN, weighted=False)).weight
    assert (flat[:3, :4] == 1).all()
    assert not flat[3].any()
    hard = labels(replace(PLAIN, threshold=0.8)).label
    assert hard[0, :4].tolist() == [1, 1, 0, 0]
    assert hard[2, :4].tolist() == [0, 1, 0, 0]


def test_the_control_reads_the_users_own_past():
    labeler = GPL(replace(PLAIN, anchors="history"))
    assert labeler.needs == ("item_vectors",)
    label = np.zeros(ALL.shape)
    label[:, 0] = 1
    labeler.fit(lists_of(label), {"item_vectors": VECTORS})
    score, weight = labeler._read(requests_of(), Candidates(ALL, {}))
    np.testing.assert_allclose(score[:3, :4], [[1, 0, -1, HALF], [1, 1, 0, HALF], [-1, 0, 1, -HALF]], atol=1e-6)
    assert np.isnan(score[3]).all(), "no past, no anchors"
    np.testing.assert_allclose(weight[1, 0], HALF ** (1 / 3), rtol=1e-5)


def test_a_score_that_says_nothing_gives_the_base_rate(caplog):
    label = np.zeros(ALL.shape)
    label[:3, 2] = 1  # the least relevant
    labeler = GPL(PLAIN)
    with caplog.at_level(logging.WARNING):
        labeler.fit(lists_of(label), artifacts_of())
    assert "every label is the base rate" in caplog.text
    found = labeler.label(requests_of(), Candidates(ALL, {}))
    rate = (3 + 1) / (3 + 2)  # Platt's targets: of 12 shown, 3 were chosen
    assert found.label[0, 0] == pytest.approx((3 * rate + 9 * (1 / 11)) / 12, rel=1e-4)
    assert np.ptp(found.label[:3, :4]) == 0


def test_requests_together_are_as_alone(monkeypatch):
    together = labels(replace(PLAIN, weighted=False))
    monkeypatch.setattr("headrace.methods.prerank.gpl._NUMBERS", 1)
    alone = labels(replace(PLAIN, weighted=False))
    np.testing.assert_allclose(alone.label, together.label, rtol=1e-6)
    np.testing.assert_array_equal(alone.weight, together.weight)


def test_requests_that_the_anchors_could_have_seen_are_refused():
    labeler, requests = fitted(), requests_of()
    early = replace(requests, at_us=np.array([1_000_001, 1_000_000, 1_000_001, 999_999]))
    with pytest.raises(DataError, match=r"request r1 is of 1000000 us.*up to 1000000 us: 2 requests"):
        labeler.label(early, Candidates(ALL, {}))
    with pytest.raises(DataError, match="request r1"):
        GPL(PLAIN).fit(lists_of(np.zeros(ALL.shape), requests=early), artifacts_of())


def test_bad_input():
    nothing = np.zeros(ALL.shape)
    with pytest.raises(DataError, match="none of the candidates of 4 requests was shown"):
        GPL(PLAIN).fit(lists_of(nothing, known=False), artifacts_of())
    with pytest.raises(DataError, match="no user who was shown something has anchors"):
        GPL(PLAIN).fit(lists_of(nothing, known=np.arange(4)[:, None] == 3), artifacts_of())
    with pytest.raises(DataError, match="gpl needs item_vectors, and has: anchors, semantic_ids"):
        GPL(PLAIN).fit(lists_of(nothing), {"anchors": anchors_of(), "semantic_ids": IDS})
    with pytest.raises(DataError, match="don't match the catalogue"):
        GPL(PLAIN).fit(lists_of(nothing), artifacts_of(anchors=anchors_of(ids="another")))
    with pytest.raises(DataError, match="semantic ids of 6 items and vectors of 5"):
        GPL(PLAIN).fit(lists_of(nothing), artifacts_of(item_vectors=VECTORS[:5]))
    with pytest.raises(ConfigError, match="a weight can't be clipped"):
        parse(GPLConfig, {"least": 4.0}, where="shop.toml")
