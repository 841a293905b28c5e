"""Against TorchJD, solver by solver, on the weights. What it solves with cvxpy is skipped where that isn't installed."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from headrace.balance.aligned_mtl import aligned_mtl
from headrace.balance.cagrad import cagrad
from headrace.balance.imtl_g import imtl_g
from headrace.balance.mgda import mgda
from headrace.balance.nash_mtl import nash_mtl
from headrace.balance.pcgrad import pcgrad

aggregation = pytest.importorskip("torchjd.aggregation", reason="torchjd is not installed")

DRAW = np.random.default_rng(0)
GRADIENTS = [DRAW.standard_normal((m, 12)) * 10.0 ** DRAW.uniform(-1, 1, (m, 1)) for m in (2, 2, 3, 3, 5, 8)]


def theirs(weighting, g):
    return weighting(torch.from_numpy(g @ g.T)).numpy()


@pytest.mark.parametrize("g", GRADIENTS)
def test_imtl_g(g):
    assert_allclose(imtl_g(g @ g.T), theirs(aggregation.IMTLGWeighting(), g), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("g", GRADIENTS)
def test_aligned_mtl(g):
    assert_allclose(aligned_mtl(g @ g.T), theirs(aggregation.AlignedMTLWeighting(), g), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("g", GRADIENTS)
def test_pcgrad_in_the_orders_it_draws(g):
    torch.manual_seed(0)
    found = theirs(aggregation.PCGradWeighting(), g)
    torch.manual_seed(0)
    orders = [torch.randperm(len(g)).tolist() for _ in g]
    assert_allclose(pcgrad(g @ g.T, orders), found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("g", GRADIENTS)
def test_mgda(g):
    """Theirs walks towards a corner at a time, and with 8 tasks is not there after 3,000 steps: ours is never the longer one."""
    gram = g @ g.T
    ours, walked = mgda(gram), theirs(aggregation.MGDAWeighting(epsilon=1e-12, max_iters=3000), g)
    excess = walked @ gram @ walked / (ours @ gram @ ours) - 1
    assert excess >= -1e-9
    assert_allclose(ours, walked, atol=1e-5 if len(g) < 8 else 1e-3)


@pytest.mark.parametrize("g", GRADIENTS)
def test_cagrad(g):
    """Their solver stops at 1e-8 of the dual, which leaves the direction 3e-5 of play: ours is never the worse one of it."""
    pytest.importorskip("cvxpy", reason="CAGrad of torchjd needs its extra: torchjd[cagrad]")
    gram, m = g @ g.T, len(g)
    mean = np.full(m, 1 / m)

    def dual(weights):
        w = (weights - mean) / (weights - mean).sum()
        return w @ gram @ mean + 0.4 * np.sqrt(mean @ gram @ mean) * np.sqrt(w @ gram @ w)

    ours, solved = cagrad(gram, 0.4), theirs(aggregation.CAGradWeighting(c=0.4, norm_eps=0.0), g)
    assert dual(ours) <= dual(solved) * (1 + 1e-9)
    assert np.linalg.norm((ours - solved) @ g) <= 5e-5 * np.linalg.norm(solved @ g)


@pytest.mark.parametrize("g", GRADIENTS)
@pytest.mark.filterwarnings("ignore")  # of its solver, whose problem is stated in a way that it calls deprecated
def test_nash_mtl(g):
    """Theirs stops at a residue |A w - 1 / w| of 1e-3 or after 20 rounds, and one of these it doesn't solve: ours solves all."""
    pytest.importorskip("ecos", reason="Nash-MTL of torchjd needs its extra: torchjd[nash_mtl]")
    solved = aggregation.NashMTL(len(g), max_norm=0.0).weighting(torch.from_numpy(g)).numpy()
    gram = g @ g.T
    ours = nash_mtl(gram)
    left = [float(np.abs(gram @ w * w - 1).max()) for w in (ours, solved)]
    assert left[0] < 1e-9
    if left[1] < 1e-3:
        assert_allclose(ours, solved, rtol=max(1e-5, left[1]))
