import pytest
import torch
from torch.testing import assert_close

from headrace.nn.fields import FieldShapes
from headrace.nn.seeded import seeded
from headrace.nn.towers import Towers

SHAPES = FieldShapes(9, {"user.age": 4}, {"item.tags": (5, (9, 2))})


@pytest.fixture
def towers():
    with seeded(0, "towers"):
        return Towers(SHAPES, item_dim=4, feature_dim=3, hidden=8, dim=5, dropout=0.5)


def test_kept_vectors_are_those_of_the_item_tower(towers):
    towers.eval()
    with torch.inference_mode():
        kept = towers.vectors()
        assert kept.equal(towers.item(torch.arange(9)))
        assert towers.vectors() is kept
        assert towers.eval().vectors() is kept, "asking a scorer to evaluate again costs nothing"
    (kept * torch.ones(5, requires_grad=True)).sum().backward()  # no inference tensor: another model can learn from it


def test_they_follow_the_weights(towers):
    before = towers.eval().vectors().clone()
    towers.train()
    with torch.no_grad():
        towers.item_tower[-1].bias.add_(1)
    assert_close(towers.eval().vectors(), before + 1)
    state = {name: tensor.clone() for name, tensor in towers.state_dict().items()}
    state["item_tower.4.bias"] -= 1
    towers.load_state_dict(state)
    assert_close(towers.vectors(), before)


def test_they_are_not_stored(towers):
    towers.eval().vectors()
    assert "kept" not in towers.state_dict()


def test_unit_vectors():
    with seeded(0, "towers"):
        towers = Towers(SHAPES, item_dim=4, feature_dim=3, hidden=8, dim=5, dropout=0.0, unit=True).eval()
    batch = {"history": torch.tensor([[1, 2, 0]]), "user.age": torch.tensor([1])}
    with torch.no_grad():
        assert_close(towers.user(batch).norm(dim=-1), torch.ones(1))
        assert_close(towers.vectors().norm(dim=-1), torch.ones(9))


def test_the_order_of_the_history_does_not_matter(towers):
    towers.eval()
    age = {"user.age": torch.tensor([1])}
    with torch.no_grad():
        first, turned, other = (
            towers.user({"history": torch.tensor([past]), **age}) for past in ([1, 2, 3, 0], [3, 0, 2, 1], [1, 2, 4, 0])
        )
    assert_close(first, turned)
    assert (first - other).abs().max() > 1e-3
