import torch
from torch.testing import assert_close

from headrace.objectives.reduction import masked_mean


def test_only_what_is_kept_counts():
    values = torch.tensor([1.0, torch.nan, 3.0, torch.inf])
    assert_close(masked_mean(values, torch.tensor([True, False, True, False])), torch.tensor(2.0))
    assert_close(masked_mean(torch.tensor([1.0, 2.0, 6.0])), torch.tensor(3.0))


def test_nothing_kept_is_0_with_a_gradient_of_0():
    values = torch.nn.Parameter(torch.ones(3))
    mean = masked_mean(values, torch.zeros(3, dtype=torch.bool))
    mean.backward()
    assert mean == 0
    assert values.grad is not None
    assert values.grad.tolist() == [0, 0, 0]
    nothing = torch.ones(0, requires_grad=True)
    masked_mean(nothing).backward()
    assert masked_mean(nothing) == 0
