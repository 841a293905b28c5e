"""Platt, beta and isotonic: what all three promise, then each by values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, sampled_from

from headrace.contracts.components import component_class
from headrace.contracts.errors import DataError
from headrace.evaluate.pointwise import calibration_ratio, ece, log_loss, normalized_entropy
from headrace.methods.rank.calibrators import CALIBRATORS
from headrace.methods.rank.calibrators.beta import Beta, BetaConfig
from headrace.methods.rank.calibrators.by_segment import BySegment
from headrace.methods.rank.calibrators.isotonic import pooled
from headrace.methods.rank.calibrators.platt import Platt, PlattConfig
from headrace.optim.logistic import smoothed
from headrace.testing.stored import check_stored

NAMES = sorted(CALIBRATORS)


def made(name):
    kind = component_class(name, CALIBRATORS, "test")
    return kind(kind.Config())


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def too_sure(n=4000, seed=0):
    """Logits twice as far out as they should be and 2 too high, and labels of the true rates."""
    draw = np.random.default_rng(seed)
    true = draw.normal(-1.5, 1.0, n)
    return 2 * true + 2, (draw.random(n) < sigmoid(true)).astype(np.float64)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    logits, labels = too_sure()
    calibrator = made(name)
    calibrator.fit(logits, labels)
    copy = check_stored(calibrator)
    asked = np.array([[-30.0, np.nan, 0.3], [2.0, -1.0, 30.0]])
    found = calibrator(asked)
    assert np.array_equal(np.isnan(found), np.isnan(asked))
    assert np.isfinite(found[~np.isnan(asked)]).all()
    np.testing.assert_array_equal(copy(asked), found)
    turned = made(name)
    turned.fit(logits[::-1], labels[::-1])
    # sums in another order; where a loss is flat to float64's last bit, its lowest place is known to the root of that bit
    np.testing.assert_allclose(turned(logits), calibrator(logits), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_it_mends_what_it_has_not_seen(name):
    calibrator, (logits, labels) = made(name), too_sure(seed=1)
    calibrator.fit(*too_sure(seed=0))
    before, after = sigmoid(logits), sigmoid(calibrator(logits))
    assert calibration_ratio(labels, before) > 1.15
    assert calibration_ratio(labels, after) == pytest.approx(1, abs=0.1)  # two samples of 900 positives: 1 / 900 ** 0.5 each
    assert ece(labels, after) < 0.6 * ece(labels, before)
    assert normalized_entropy(labels, after) < normalized_entropy(labels, before) - 0.02


@given(name=sampled_from(NAMES), seed=integers(0, 1000), n=integers(2, 40))
def test_it_never_falls_whatever_it_is_given(name, seed, n):
    """Labels at odds with the scores and ties among them."""
    draw = np.random.default_rng(seed)
    logits, labels = draw.normal(size=n).round(1) * 3, (draw.random(n) < 0.5).astype(np.float64)
    labels[:2] = 0, 1
    calibrator = made(name)
    calibrator.fit(logits, labels)
    found = calibrator(np.linspace(-40, 40, 500))
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-9).all()


@pytest.mark.parametrize("name", NAMES)
def test_classes_that_are_told_apart_give_finite_logits(name):
    calibrator = made(name)
    calibrator.fit(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    found = sigmoid(calibrator(np.array([-2.0, 2.0])))
    assert 0.01 < found[0] < 0.3
    assert 0.7 < found[1] < 0.99


def test_the_golden_impressions():
    """y = [1, 0, 0, 1], p = [.9, .1, .2, .8]: NE .23696 and ratio 1 before; the order is right, so it says no less after."""
    labels, p = np.array([1.0, 0, 0, 1]), np.array([0.9, 0.1, 0.2, 0.8])
    assert log_loss(labels, p) == pytest.approx(0.16425, abs=5e-6)
    assert normalized_entropy(labels, p) == pytest.approx(0.23696, abs=1e-5)
    assert calibration_ratio(labels, p) == pytest.approx(1.0)
    for name in NAMES:
        calibrator = made(name)
        calibrator.fit(np.log(p / (1 - p)), labels)
        after = sigmoid(calibrator(np.log(p / (1 - p))))
        assert after.sum() == pytest.approx(2.0, abs=1e-6), "as many as there were"
        assert set(np.argsort(after)[2:]) == {0, 3}


def test_platt_by_hand():
    """One logit of 0 alone: the slope has nothing to hold on to, the constant is the smoothed rate's logit."""
    platt = Platt(PlattConfig())
    platt.fit(np.zeros(10), np.array([1.0] * 3 + [0.0] * 7))
    rate = (3 * 4 / 5 + 7 / 9) / 10
    assert platt(np.array([0.0]))[0] == pytest.approx(np.log(rate / (1 - rate)))
    np.testing.assert_allclose(smoothed(np.array([1.0, 1.0, 0.0])), [3 / 4, 3 / 4, 1 / 3])
    # logits -1 and 1, of which 1 in 4 and 3 in 4 are positive: symmetric, so b = 0, and a is the logit of the smoothed 3 in 4
    platt.fit(
        np.repeat([-1.0, 1.0], 400), np.tile([1.0] * 100 + [0.0] * 300, 2) * 0 + np.repeat([0, 1, 0, 1], [300, 100, 100, 300])
    )
    rate = (300 * 401 / 402 + 100 / 402) / 400
    np.testing.assert_allclose(platt.weights, [np.log(rate / (1 - rate)), 0.0], atol=1e-8)


def test_a_ranker_that_is_wrong_is_not_turned_round():
    platt = Platt(PlattConfig())
    logits, labels = too_sure()
    platt.fit(logits, 1 - labels)
    assert platt.weights[0] == 0
    assert sigmoid(platt.weights[1]) == pytest.approx(1 - labels.mean(), abs=1e-3)


def test_beta_bends_each_end_its_own_way():
    """Labels drawn from the very form: 2 log p - 0.5 log(1 - p) + 0.3 is found again."""
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, 40_000)
    true = -2 * np.logaddexp(0, -logits) + 0.5 * np.logaddexp(0, logits) + 0.3
    beta = Beta(BetaConfig())
    beta.fit(logits, (draw.random(len(logits)) < sigmoid(true)).astype(np.float64))
    np.testing.assert_allclose(beta.weights, [2, 0.5, 0.3], atol=0.1)  # three deviations of a fit of so many rows


def test_pools_by_hand():
    starts, means = pooled(np.array([1.0, 0.0, 1.0]), np.ones(3))
    assert (starts.tolist(), means.tolist()) == ([0, 2], [0.5, 1.0])
    starts, means = pooled(np.array([0.2, 0.6, 0.3, 0.1, 0.9]), np.array([1.0, 1.0, 1.0, 2.0, 1.0]))
    assert starts.tolist() == [0, 1, 4]
    np.testing.assert_allclose(means, [0.2, (0.6 + 0.3 + 0.2) / 4, 0.9])


def test_isotonic_by_hand():
    """Pools {0, 1} at 1/2 and {2} at 1, which is held off 1 by 1 / (N + 2) = 1/5; flat outside, straight between."""
    isotonic = made("isotonic")
    isotonic.fit(np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.0, 1.0]))
    top = np.log(4)
    found = isotonic(np.array([-9.0, 0.0, 0.7, 1.0, 1.5, 2.0, 9.0]))
    np.testing.assert_allclose(found, [0, 0, 0, 0, top / 2, top, top], atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("logits", "labels", "says"),
    [
        ([0.0, 1.0], [0.0, 2.0], "row 1 of labels is 2.0; expected 0, 1 or what lies between"),
        ([0.0, 1.0], [0.0, np.nan], "row 1 of labels is nan"),
        ([np.inf, 1.0], [0.0, 1.0], "row 0 of logits is inf"),
        ([0.0, 1.0], [0.0, 0.0], "0 of the 2 rows that are held out are positive"),
        ([0.0, 1.0], [1.0, 1.0], "2 of the 2 rows"),
        ([], [], "0 of the 0 rows"),
        ([0.0], [0.0, 1.0], "expected one of each a row"),
    ],
)
def test_bad_input(name, logits, labels, says):
    with pytest.raises(DataError, match=says):
        made(name).fit(np.array(logits), np.array(labels))


def test_a_segment_is_right_in_sum_and_one_of_few_rows_stays_where_it_is():
    draw = np.random.default_rng(0)
    segments = np.repeat([0, 1, 2], [20_000, 20_000, 2])
    logits = draw.normal(-2, 0.5, len(segments))
    labels = (draw.random(len(segments)) < sigmoid(logits + np.array([1.0, -1.0, 0.0])[segments])).astype(np.float64)
    labels[-2:] = 1
    by = BySegment()
    by.fit(logits, labels, segments)
    np.testing.assert_allclose(by.shifts[:2], [1, -1], atol=0.1)
    assert 0 < by.shifts[2] < 0.3, "two positives against a prior of a hundred rows"
    after = sigmoid(by(logits, segments))
    for segment in (0, 1):
        mine = segments == segment
        # the prior is 100 rows against 20,000, at rates that are far from the global one
        assert calibration_ratio(labels[mine], after[mine]) == pytest.approx(1, abs=0.02)
    by.fit(logits, labels, segments, prior_rows=0.0001)
    assert by.shifts[2] > 5, "without a prior it would believe them"
    assert by(np.zeros(1), np.array([7]))[0] == 0, "a segment nobody saw"
    np.testing.assert_array_equal(BySegment.from_arrays(by.arrays())(logits, segments), by(logits, segments))
