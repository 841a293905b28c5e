"""Those that are functions of the Gram matrix: values by hand, what they promise, and no division by nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from headrace.balance.aligned_mtl import aligned_mtl
from headrace.balance.balanced import Seen
from headrace.balance.cagrad import cagrad
from headrace.balance.imtl_g import imtl_g
from headrace.balance.mgda import mgda
from headrace.balance.nash_mtl import nash_mtl
from headrace.balance.pcgrad import pcgrad
from tests.balance.tasks import grams, named


def pcgrad_in_order(gram):
    return pcgrad(gram, [range(len(gram))] * len(gram))


PURE = {
    "mgda": mgda, "pcgrad": pcgrad_in_order, "cagrad": lambda gram: cagrad(gram, 0.4), "imtl_g": imtl_g,
    "aligned_mtl": aligned_mtl, "nash_mtl": nash_mtl,
}  # fmt: skip


@settings(max_examples=60)
@given(gram=grams(tasks=(1, 5), silent=True), scale=st.sampled_from([1e-12, 1.0, 1e12]))
@pytest.mark.parametrize("name", PURE)
def test_no_gram_matrix_breaks_a_solver(name, gram, scale):
    """Zero gradients, dependent and opposite ones, of any size."""
    weights = PURE[name](gram * scale)
    assert weights.shape == (len(gram),)
    assert np.isfinite(weights).all()


@settings(max_examples=20)
@given(gram=grams(tasks=(2, 4)))
@pytest.mark.parametrize("name", ["mgda", "pcgrad", "cagrad", "imtl_g", "aligned_mtl", "nash_mtl", "gradnorm", "multibalance"])
def test_no_step_breaks_a_solver(name, gram):
    names = [str(task) for task in range(len(gram))]
    solver = named(name).solver
    for losses in (np.ones(len(gram)), np.zeros(len(gram))):
        assert np.isfinite(solver(Seen(names, losses, gram, names))).all()


def test_pcgrad_by_hand():
    """g1 = (1, 0), g2 = (-1, 1): (.5, .5) and (0, 1), in all (.5, 1.5)."""
    g = np.array([[1.0, 0.0], [-1.0, 1.0]])
    assert_allclose(pcgrad_in_order(g @ g.T) @ g, [0.5, 1.5])


@given(grams())
def test_pcgrad_without_conflict_is_the_plain_sum(gram):
    assert_allclose(pcgrad_in_order(np.abs(gram)), np.ones(len(gram)))


def test_pcgrads_order_is_the_steps():
    g = np.array([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.5], [-0.5, -1.0, 0.1]])
    names = ["a", "b", "c"]
    one, other = named("pcgrad").solver, named("pcgrad").solver
    seen = Seen(names, np.ones(3), g @ g.T, names)
    drawn = [one(seen) for _ in range(8)]
    other.load_state_dict({"steps": 5})
    assert_allclose(other(seen), drawn[5])
    assert any(not np.allclose(drawn[0], one) for one in drawn)


def test_nash_by_hand():
    found = nash_mtl(np.diag([1.0, 4.0]))
    assert_allclose(found, [1.0, 0.5], atol=1e-9)
    assert_allclose(np.diag([1.0, 4.0]) @ found, 1 / found, atol=1e-9)


@given(st.lists(st.lists(st.floats(-2, 2), min_size=6, max_size=6), min_size=2, max_size=4), st.integers(0, 3))
def test_nash_is_a_bargain(rows, task):
    """Independent gradients: A w = 1 / w; scaling one of them scales its weight alone, inversely."""
    g = np.array(rows) * 0.1 + 3 * np.eye(len(rows), 6)
    gram = g @ g.T
    w = nash_mtl(gram)
    assert_allclose(gram @ w * w, np.ones(len(w)), rtol=1e-7)
    times = np.where(np.arange(len(w)) == task % len(w), 10.0, 1.0)
    assert_allclose(nash_mtl(gram * np.outer(times, times)), w / times, rtol=1e-7)


def test_nash_keeps_its_weights_in_between():
    solver = named("nash_mtl", every=2).solver
    names = ["a", "b"]
    first, held, new = (solver(Seen(names, np.ones(2), np.diag([1.0, x]), names)) for x in (4.0, 100.0, 100.0))
    assert_allclose(first, [4 / 3, 2 / 3])
    assert_allclose(held, first)
    assert_allclose(new, [20 / 11, 2 / 11])


@given(st.lists(st.lists(st.floats(-2, 2), min_size=6, max_size=6), min_size=2, max_size=4))
def test_imtl_gs_projections_are_equal(rows):
    g = np.array(rows) * 0.1 + 3 * np.eye(len(rows), 6)
    gram = g @ g.T
    w = imtl_g(gram)
    along = gram @ w / np.sqrt(gram.diagonal())
    assert_allclose(along, np.full(len(w), along[0]), rtol=1e-6)
    assert_allclose(w.sum(), 1)


@given(st.lists(st.lists(st.floats(-2, 2), min_size=6, max_size=6), min_size=2, max_size=4))
def test_aligned_gradients_are_orthogonal_and_as_long_as_the_least_singular_value(rows):
    g = np.array(rows) * 0.1 + 3 * np.eye(len(rows), 6)
    w = aligned_mtl(g @ g.T)
    u, s, v = np.linalg.svd(g, full_matrices=False)
    assert_allclose(w @ g, (s[-1] * u @ v).mean(0), atol=1e-8)


@settings(max_examples=50)
@given(grams(), st.floats(0.05, 0.9))
def test_cagrad_gains_no_less_than_any_other_direction_in_the_ball(gram, c):
    """Its value is the dual's: max over the ball of the worst task's gain = min over w of g_w·g_0 + c |g_0| |g_w|."""
    m = len(gram)
    weights = cagrad(gram, c)
    mean = np.full(m, 1 / m)
    off = weights - mean
    reach = c * np.sqrt(max(mean @ gram @ mean, 0))
    if not off.any():  # stationary, or the gradients' mean is nil
        return
    assert_allclose(np.sqrt(off @ gram @ off), reach, rtol=1e-5, atol=1e-7)
    worst = (gram @ weights).min()
    w = off / off.sum()
    dual = w @ gram @ mean + reach * np.sqrt(max(w @ gram @ w, 0))
    assert worst >= dual - 1e-4 * (1 + gram.max()), "no gap between the two"


def test_cagrad_at_nothing_is_the_mean():
    assert_allclose(cagrad(np.diag([1.0, 4.0]), 0.0), [0.5, 0.5])
    assert_allclose(named("cagrad", c=0.0).solver(Seen("ab", np.ones(2), np.diag([1.0, 4.0]), "ab")), [1, 1])
