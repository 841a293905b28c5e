"""Each draw's figure is the plain figure of the drawn users' impressions, repeated as often as they were drawn."""

import numpy as np
import pytest

from headrace.contracts.rng import rng
from headrace.evaluate.bootstrap import draws
from headrace.evaluate.pointwise import auc, ece
from headrace.evaluate.pooled import resampled_aucs, resampled_eces

N, USERS = 120, 9
STREAM = rng(0, "pooled")
USER = STREAM.integers(0, USERS, N)
LABEL = STREAM.integers(0, 2, N)
P = np.round(STREAM.random(N), 1)  # many ties


def test_auc_of_each_draw():
    found = resampled_aucs(USER, LABEL, P, resamples=40, seed=3)
    assert found[0] == pytest.approx(auc(LABEL, P))
    counts = np.concatenate([block for _, block in draws(USERS, resamples=40, seed=3, width=N)]).astype(int)
    expected = [auc(np.repeat(LABEL, drawn[USER]), np.repeat(P, drawn[USER])) for drawn in counts]
    np.testing.assert_allclose(found[1:], expected)


def test_one_class_has_no_auc():
    assert np.isnan(resampled_aucs(USER, np.zeros(N), P, resamples=3, seed=0)).all()


def test_ece_of_each_draw_is_over_the_bins_of_all():
    found = resampled_eces(USER, LABEL, P, resamples=40, seed=3)
    assert found[0] == pytest.approx(ece(LABEL, P))
    counts = np.concatenate([block for _, block in draws(USERS, resamples=40, seed=3)])
    by_value = [[(drawn[USER] * (P - LABEL))[value == P].sum() for value in np.unique(P)] for drawn in counts]
    expected = np.abs(by_value).sum(1) / [drawn[USER].sum() for drawn in counts]  # some 20 bins: each of 11 values has its own
    np.testing.assert_allclose(found[1:], expected)
