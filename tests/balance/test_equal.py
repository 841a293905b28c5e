import torch

from headrace.balance.equal import Equal
from headrace.testing import check_balancer


def test_contract():
    check_balancer(Equal)


def test_the_gradient_is_the_plain_sum():
    x = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    weights = Equal().backward({"a": x.square().sum(), "b": 3 * x.sum()}, None, dict)
    assert weights == {"a": 1.0, "b": 1.0}
    assert x.grad is not None
    assert x.grad.tolist() == [5.0, 7.0]


def test_gradients_of_micro_batches_add_up():
    x = torch.nn.Parameter(torch.tensor([1.0]))
    for _ in range(2):
        Equal().backward({"a": x.sum()}, None, dict)
    assert Equal.accumulates
    assert x.grad is not None
    assert x.grad.tolist() == [2.0]
