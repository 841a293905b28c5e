import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import gelu
from torch.testing import assert_close

from headrace.encode.reading.relevance import Relevance
from headrace.nn.seeded import seeded


def drawn(seed):
    with seeded(seed, "test"):
        return Relevance(4).double(), *(torch.randn(*shape, 4, dtype=torch.float64) for shape in ((2, 3), (2, 5, 2)))


@torch.no_grad()
@given(st.integers(0, 10_000), st.integers(0, 3))
def test_against_a_plain_loop(seed, absent):
    """Of a user's vectors the last `absent` are not there; with none there the score is 0."""
    relevance, side, items = drawn(seed)
    there = (torch.arange(3) < 3 - absent).expand(2, 3)
    side = side * there.unsqueeze(-1)
    found = relevance(side, items, there)
    for row in range(2):
        for candidate in range(5):
            fits, weights = [], []
            for a in range(3 - absent):
                for b in range(2):
                    vector = items[row, candidate, b]
                    fits.append(float(side[row, a] @ vector))
                    weights.append(math.exp(float(side[row, a] @ gelu(relevance.map.weight @ vector))))
            wanted = sum(f * w for f, w in zip(fits, weights, strict=True)) / (sum(weights) or 1)
            assert abs(float(found[row, candidate]) - wanted) < 1e-9
    if not absent:
        assert_close(relevance(side, items), found)


@torch.no_grad()
def test_one_vector_a_side_is_a_dot_product():
    relevance, side, items = drawn(0)
    assert_close(relevance(side[:, :1], items[:, :, :1]), (side[:, :1] * items[:, :, 0]).sum(-1))


@torch.no_grad()
def test_keys_can_be_stored():
    relevance, side, items = drawn(1)
    assert_close(relevance.weighed(side, items, relevance.keys(items)), relevance(side, items))


def test_a_user_of_zeros_scores_zero_with_a_finite_gradient():
    relevance, side, items = drawn(2)
    side = torch.zeros_like(side, requires_grad=True)
    found = relevance(side, items, torch.zeros(2, 3, dtype=torch.bool))
    assert (found == 0).all()
    found.sum().backward()
    assert side.grad is not None
    assert side.grad.isfinite().all()
