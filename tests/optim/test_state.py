import torch
from torch import nn
from torch.testing._internal.two_tensor import TwoTensor

from headrace.optim.state import state_bytes


def test_tensors_numbers_and_what_is_nested_count():
    weight = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    assert state_bytes(optimizer) == 0
    optimizer.state[weight] = {"a": torch.zeros(2, 3), "b": 7, "c": [torch.zeros(4, dtype=torch.bfloat16), {"d": 0.5}], "e": None}
    assert state_bytes(optimizer) == 24 + 8 + 8 + 8


def test_the_state_of_some_parameters_alone():
    first, second = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(5))
    optimizer = torch.optim.SGD([first, second], lr=0.1)
    optimizer.state[first], optimizer.state[second] = {"a": torch.zeros(3)}, {"a": torch.zeros(5)}
    assert [state_bytes(optimizer, [one]) for one in (first, second)] == [12, 20]
    assert state_bytes(optimizer) == 32
    assert state_bytes(optimizer, [nn.Parameter(torch.zeros(7))]) == 0, "one that the optimizer does not know"


def test_a_tensor_made_of_tensors_is_as_large_as_they_are():
    weight = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    optimizer.state[weight] = {"moment": TwoTensor(torch.zeros(10), torch.zeros(10))}
    assert state_bytes(optimizer) == 2 * 40
