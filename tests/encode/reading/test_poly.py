import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from headrace.encode.reading.poly import PolyAttention, Visible, mean_entropy
from headrace.nn.seeded import seeded

SEEDS = st.integers(0, 10_000)


def drawn(seed, rows=3, length=7, dim=4, codes=2):
    with seeded(seed, "test"):
        poly = PolyAttention(dim, codes, wide=3).double()
        states = torch.randn(rows, length, dim, dtype=torch.float64)
        there = torch.rand(rows, length) < 0.6
    there[0, 0] = True
    return poly, states, there


@torch.no_grad()
@given(SEEDS)
def test_dense_is_masked_with_everything_visible(seed):
    poly, states, there = drawn(seed)
    visible = torch.ones(3, 2, 7, dtype=torch.bool)
    assert_close(poly(states, there), poly(states, there, visible))
    assert_close(poly(states, there), poly(states, torch.ones_like(there), there.unsqueeze(1).expand(-1, 2, -1)))


@torch.no_grad()
@given(SEEDS)
def test_what_is_absent_changes_nothing(seed):
    poly, states, there = drawn(seed)
    other = torch.where(there.unsqueeze(-1), states, states.flip(1) * 100 + 7)
    assert_close(poly(states, there), poly(other, there))
    assert_close(poly(states, there), poly(states.flip(1), there.flip(1)))


@torch.no_grad()
@given(SEEDS)
def test_weights_sum_to_one_or_nothing_is_seen(seed):
    poly, states, there = drawn(seed)
    with seeded(seed, "visible"):
        visible = torch.rand(3, 2, 7) < 0.4
    weights = poly.weights(states, there, visible)
    seen = (visible & there.unsqueeze(1)).any(-1)
    assert_close(weights.sum(-1), seen.double())
    assert (poly(states, there, visible)[~seen] == 0).all()


def test_a_code_that_sees_nothing_is_zeros_with_a_gradient_that_is_no_nan():
    poly, states, there = drawn(0)
    states.requires_grad_(True)
    read = poly(states, torch.zeros_like(there))
    assert (read == 0).all()
    read.sum().backward()
    assert all(one.grad.isfinite().all() for one in (states, poly.codes, poly.map.weight))


@torch.no_grad()
def test_by_hand():
    """W = I, tau = (log 3) / tanh(1): weights 3 : 1 of a token (1, 0) over one whose tanh is 0 on the first axis."""
    poly = PolyAttention(2, 1)
    poly.map.weight.copy_(torch.eye(2))
    poly.codes.copy_(torch.tensor([[math.log(3) / math.tanh(1), 0.0]]))
    states = torch.tensor([[[1.0, 0.0], [0.0, 4.0], [9.0, 9.0]]])
    there = torch.tensor([[True, True, False]])
    assert_close(poly(states, there), torch.tensor([[[0.75, 1.0]]]))
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert_close(mean_entropy(poly.weights(states, there)), torch.tensor(entropy))


def test_entropy_is_of_codes_that_see_something():
    weights = torch.tensor([[[0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]]])
    assert_close(mean_entropy(weights), torch.tensor((math.log(4) + 0 + math.log(2)) / 3))
    assert mean_entropy(torch.zeros(2, 3)) == 0


ITEM_OF = torch.tensor([[-1, -1, 0, 0, 0, -1, 1, 1, 1]])
STARTS = torch.tensor([[1, 0, 1, 0, 0, 0, 1, 0, 0]]).bool()
THERE = torch.tensor([[1, 1, 1, 1, 1, 0, 1, 1, 1]]).bool()


def seen(**how):
    made = Visible(3, 9, **{"window": 0, "starts": False, "share": 0.0, **how}).eval()
    return made(ITEM_OF, STARTS, THERE)[0].int().tolist()


def test_what_each_part_lets_a_code_see():
    """A prefix of two tokens, two items of three, a gap before the second; codes for three items."""
    nothing = [0] * 9
    assert seen(window=4) == [[0, 1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 1, 1, 1], nothing]
    assert seen(window=5) == [[0, 1, 1, 1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0, 1, 1, 1], nothing]
    assert seen(starts=True) == [[1, 0, 1, 0, 0, 0, 1, 0, 0]] * 2 + [nothing]
    assert seen(share=1.0) == [[1, 1, 1, 1, 1, 0, 1, 1, 1]] * 2 + [nothing]


def test_the_share_is_drawn_afresh_in_training_and_stays_in_evaluation():
    visible = Visible(2, 1000, window=0, starts=False, share=0.1, seed=1)
    tokens = torch.arange(1000).unsqueeze(0)
    given_ = (tokens % 2, torch.zeros_like(tokens).bool(), torch.ones_like(tokens).bool())
    with seeded(0, "test"):
        first, second = visible(*given_), visible(*given_)
    with seeded(0, "test"):
        assert visible(*given_).equal(first), "the draw is torch's stream"
    assert not first.equal(second)
    assert abs(first.float().mean().item() - 0.1) < 0.03
    fixed = visible.eval()(*given_)
    assert fixed.equal(visible(*given_))
    assert fixed.equal(Visible(2, 1000, window=0, starts=False, share=0.1, seed=1).eval()(*given_))
    assert not fixed.equal(Visible(2, 1000, window=0, starts=False, share=0.1, seed=2).eval()(*given_))
    assert abs(fixed.float().mean().item() - 0.1) < 0.03


@given(SEEDS)
def test_gaps_between_tokens_change_nothing(seed):
    visible = Visible(3, 9, window=3, starts=True, share=0.4, seed=seed).eval()
    kept = THERE[0].nonzero().squeeze(1)
    dense = visible(ITEM_OF[:, kept], STARTS[:, kept], THERE[:, kept])
    assert dense.equal(visible(ITEM_OF, STARTS, THERE)[:, :, kept])
