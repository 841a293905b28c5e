import torch
from torch import nn

from headrace.optim.state import state_bytes


def test_tensors_numbers_and_what_is_nested_count():
    weight = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    assert state_bytes(optimizer) == 0
    optimizer.state[weight] = {"a": torch.zeros(2, 3), "b": 7, "c": [torch.zeros(4, dtype=torch.bfloat16), {"d": 0.5}], "e": None}
    assert state_bytes(optimizer) == 24 + 8 + 8 + 8
