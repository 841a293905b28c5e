import torch
from torch import nn
from torch.testing import assert_close

from headrace.train.average import Average


def test_it_follows_the_weights_and_copies_buffers():
    module = nn.BatchNorm1d(2)
    average = Average(module, 0.75)
    first = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1.0)
    module(torch.full((4, 2), 30.0))
    average.update(module)
    averaged = average.module.state_dict()
    assert_close(averaged["weight"], first + 0.25)
    assert_close(averaged["running_mean"], torch.full((2,), 3.0))
    average.update(module)
    assert_close(averaged["weight"], first + 0.4375)
    assert not average.module.training
    assert not any(one.requires_grad for one in average.module.parameters())


def test_tied_weights_move_once():
    one, other = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    other.weight = one.weight
    module = nn.ModuleList([one, other])
    average = Average(module, 0.5)
    start = one.weight.detach().clone()
    with torch.no_grad():
        one.weight.add_(1.0)
    average.update(module)
    averaged = average.module.state_dict()
    assert_close(averaged["1.weight"], start + 0.5)
    assert averaged["0.weight"].data_ptr() == averaged["1.weight"].data_ptr()


def test_the_module_has_the_averaged_weights_for_a_while():
    module = nn.Linear(2, 2)
    average, own = Average(module, 0.5), module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1.0)
    with average.in_place_of(module):
        assert module.weight.equal(own)
    assert module.weight.equal(own + 1.0)
