import torch
from torch import nn

from headrace.nn.tower import tower


def test_widths_and_layers():
    made, out = tower(5, (4, 3), 0.1, nn.PReLU)
    assert out == 3
    assert [type(layer) for layer in made] == [nn.Linear, nn.PReLU, nn.Dropout] * 2
    assert made(torch.zeros(2, 7, 5)).shape == (2, 7, 3)


def test_without_layers_it_is_the_identity():
    made, out = tower(5, (), 0.1)
    values = torch.arange(5.0)
    assert out == 5
    assert made(values) is values
