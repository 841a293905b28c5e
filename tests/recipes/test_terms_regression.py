import numpy as np

from headrace.recipes.terms_regression import _fitted, _terms, leads

TEXTS = [f"a {word} film {number}" for number in range(12) for word in ("good", "bad")]
LABELS = np.array([1, 0] * 12)


def test_a_word_that_tells_is_found():
    found = leads(TEXTS, LABELS, ["good good play", "a bad one", "x"], seed=0)
    assert found[0] > 0 > found[1]


def test_the_fit_is_where_the_penalised_loss_is_flat():
    """With labels of equal numbers and a text of no known term, the lead is the intercept; there the pulls cancel."""
    given, asked = _terms(TEXTS, ["x"])
    lead = _fitted(given, LABELS, given, 1.0)
    assert abs((1 / (1 + np.exp(-lead)) - LABELS).sum()) < 1e-2  # the intercept has no penalty
    assert np.abs(_fitted(given, LABELS, given, 10.0)).max() < np.abs(lead).max()
    assert asked.nnz == 0
