import torch
from torch.testing import assert_close

from headrace.nn.mixture import Experts, Gate
from headrace.nn.seeded import seeded


@torch.no_grad()
def test_experts_stand_side_by_side():
    with seeded(0, "init"):
        experts = Experts(3, 4, (6, 5), dropout=0.5).eval()
    x = torch.randn(2, 7, 4)
    found = experts(x)
    assert found.shape == (2, 7, 3, 5)
    assert (experts.number, experts.width, experts.size) == (3, 5, 15)
    for number, one in enumerate(experts.experts):
        assert_close(found[..., number, :], one(x))


def test_experts_without_layers_give_their_input():
    experts, x = Experts(2, 4, (), dropout=0.0), torch.randn(3, 4)
    assert experts.size == 8
    assert experts(x).equal(torch.stack([x, x], -2))


@torch.no_grad()
def test_a_gate_by_hand():
    gate = Gate(2, 3)
    experts = torch.randn(5, 3, 4)
    gate.weigh.weight.zero_()
    assert_close(gate(torch.randn(5, 2), experts), experts.mean(1))
    gate.weigh.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    share = torch.tensor([2.0, 3.0, 1.0]) / 6
    x = torch.tensor([2.0, 3.0]).log().expand(5, 2)
    assert_close(gate(x, experts), (share.unsqueeze(-1) * experts).sum(1))


@torch.no_grad()
def test_a_mixture_lies_between_its_experts():
    experts = torch.randn(50, 3, 4)
    found = Gate(2, 3)(torch.randn(50, 2) * 10, experts)
    assert (found <= experts.amax(1) + 1e-6).all()
    assert (found >= experts.amin(1) - 1e-6).all()
