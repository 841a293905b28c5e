import torch
from torch.testing import assert_close

from headrace.nn.pooling import mean_over


def test_only_what_is_there_counts():
    values = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[5.0, 5.0]] * 3])
    there = torch.tensor([[True, True, False], [False, False, False]])
    assert_close(mean_over(values, there), torch.tensor([[2.0, 4.0], [0.0, 0.0]]))
