import torch
from torch.testing import assert_close

from headrace.nn.interaction_block import InteractionBlock


@torch.no_grad()
def test_layers_by_hand():
    block = InteractionBlock(2, 1, (2,))
    weights = {
        "crosses.0.weight": [[1.0, 2.0], [0.0, -1.0]], "crosses.0.bias": [0.0, 0.0],
        "dense.0.weight": [[1.0, 1.0], [3.0, 0.0]], "dense.0.bias": [0.5, 0.0],
    }  # fmt: skip
    block.load_state_dict({name: torch.tensor(values) for name, values in weights.items()})
    first, crossed, dense = block(torch.tensor([3.0, -1.0]))
    assert_close(first, torch.tensor([3.0, -1.0]))
    assert_close(crossed, torch.tensor([3.0 * 1 + 3, -1.0 * 1 - 1]))
    assert_close(dense, torch.tensor([6.5, 18.0]))


@torch.no_grad()
def test_a_cross_that_says_nothing_is_the_identity():
    block = InteractionBlock(3, 2, ())
    for one in block.crosses.parameters():
        one.zero_()
    x = torch.randn(4, 5, 3)
    assert all(layer.equal(x) for layer in block(x))


def test_widths_are_those_of_the_layers():
    block = InteractionBlock(4, 2, (7, 3))
    assert [layer.shape[-1] for layer in block(torch.zeros(1, 4))] == block.widths == [4, 4, 4, 7, 3]
    assert block.out == 3


def test_another_of_its_settings_takes_its_weights():
    one, other = InteractionBlock(3, 1, (2,)), InteractionBlock(3, 1, (2,))
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 3)
    assert other(x)[-1].equal(one(x)[-1])
