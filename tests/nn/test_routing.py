import torch
from torch.testing import assert_close

from headrace.nn.routing import hard_routed, soft_routed, squared_distances

P = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [9.0, 9.0]]])
Z = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [5.0, 5.0]]])
V = torch.tensor([[[1.0], [2.0], [4.0], [100.0]]])
VOTES = torch.tensor([[1, 1, 3, 0]])
THERE = torch.tensor([[True, True, False]])


def test_distances_are_squared():
    assert_close(squared_distances(P, Z)[0, :2], torch.tensor([[0.0, 1.0, 4.0, 50.0], [1.0, 0.0, 5.0, 41.0]]))


def test_soft_weights_by_hand():
    """tau = 2: agent 0 weighs 1, e^-1/2 and three times e^-2; agent 1 e^-1/2, 1 and three times e^-5/2."""
    found = soft_routed(squared_distances(P, Z), torch.tensor(2.0), VOTES, THERE, V)[0, :, 0]
    first = torch.tensor([1, 0.60653066, 3 * 0.13533528])
    second = torch.tensor([0.60653066, 1, 3 * 0.08208500])
    values = V[0, :3, 0]
    assert_close(found, torch.stack([first @ values / first.sum(), second @ values / second.sum(), torch.tensor(0.0)]))


def test_hard_gives_an_event_to_the_nearest_agent_alone():
    own = torch.zeros(1, 3, 4, dtype=torch.bool)
    found = hard_routed(squared_distances(P, Z), own, VOTES, THERE, V)
    assert_close(found[0, :, 0], torch.tensor([(1 + 3 * 4) / 4, 2.0, 0.0]))
    own[0, 1, 0] = True
    found = hard_routed(squared_distances(P, Z), own, VOTES, THERE, V)
    assert_close(found[0, :, 0], torch.tensor([4.0, 1.5, 0.0]))


def test_a_mean_with_votes_is_its_events_one_by_one():
    draw = torch.Generator().manual_seed(0)
    p, z = torch.randn(2, 3, 4, generator=draw), torch.randn(2, 5, 4, generator=draw)
    values, there = torch.randn(2, 10, 6, generator=draw), torch.tensor([[True] * 3, [True, False, True]])
    each = squared_distances(p, z.repeat_interleave(2, 1))
    joined, ones, twos = squared_distances(p, z), torch.ones(2, 10, dtype=torch.int64), torch.full((2, 5), 2)
    means, tau = values.view(2, 5, 2, 6).mean(2), torch.tensor(0.7)
    assert_close(soft_routed(each, tau, ones, there, values), soft_routed(joined, tau, twos, there, means))
    own = torch.zeros(2, 3, 10, dtype=torch.bool)
    assert_close(hard_routed(each, own, ones, there, values), hard_routed(joined, own[..., ::2], twos, there, means))


def test_near_nothing_of_an_empty_history_is_zero_and_far_events_are_still_routed():
    nothing = soft_routed(squared_distances(P, Z), torch.tensor(2.0), VOTES * 0, THERE, V)
    assert not nothing.any()
    far = soft_routed(squared_distances(P[:, :1], Z[:, 3:]), torch.tensor(1e-4), VOTES[:, :1], THERE[:, :1], V[:, 3:])
    assert_close(far, V[:, 3:])
