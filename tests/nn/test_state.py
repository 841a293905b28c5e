import pytest
import torch
from torch import nn

from headrace.nn.state import arrays_of, load_arrays_into


def test_parameters_and_buffers_go_both_ways():
    first, second = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    first(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    load_arrays_into(second, arrays_of(first))
    for name, tensor in first.state_dict().items():
        assert second.state_dict()[name].equal(tensor)
    with torch.no_grad():
        first.weight.add_(1)
    assert not second.weight.equal(first.weight), "a copy, not a view"


def test_a_missing_array_is_an_error():
    with pytest.raises(RuntimeError, match="Missing key"):
        load_arrays_into(nn.Linear(2, 2), {})
