import pytest
import torch

from headrace.nn.seeded import seeded
from headrace.nn.transformer import CausalTransformer


@pytest.fixture
def body():
    with seeded(0, "body"):
        return CausalTransformer(dim=8, layers=2, heads=2, length=6, dropout=0.5).eval()


@pytest.fixture
def x():
    return torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_later_item_changes_no_earlier_output(body, x):
    before = body(x)
    for place in range(6):
        changed = x.clone()
        changed[:, place] += 1
        differs = (body(changed) != before).any(-1).any(0)
        assert not differs[:place].any()
        assert differs[place:].all(), "and every later one"


@torch.no_grad()
def test_what_is_padded_behind_does_not_matter(body, x):
    padded = torch.cat([x[:, :4], torch.full((3, 2, 8), 1e3)], 1)
    # kernels for another length add in another order
    torch.testing.assert_close(body(padded)[:, :4], body(x[:, :4]), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_positions_matter(body, x):
    same = x[:, :1].expand(3, 6, 8)
    assert not torch.allclose(body(same)[:, 0], body(same)[:, 1], atol=1e-3)


def test_dropout_is_for_training_alone(body, x):
    assert body(x).equal(body(x))
    body.train()
    with seeded(0, "drop"):
        first, second = body(x), body(x)
    assert not first.equal(second)


def test_gradients_reach_every_parameter(body, x):
    body(x).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in body.parameters())
