import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from headrace.objectives.codes import next_code
from headrace.testing import check_loss
from tests.objectives.code_rows import SIZES, rows, vectors


def test_contract():
    def loss(states, codes, mask=None):
        return next_code(states, vectors(dtype=states.dtype), codes, mask)

    check_loss(loss, rows())


def test_it_is_the_mean_over_levels_of_each_levels_own_softmax():
    states, codes, _ = rows()
    levels = [cross_entropy(states[:, level] @ own.T, codes[:, level]) for level, own in enumerate(vectors())]
    assert_close(next_code(states, vectors(), codes), torch.stack(levels).mean())


def test_knowing_nothing_costs_the_log_of_each_levels_symbols():
    _, codes, _ = rows()
    found = next_code(torch.zeros(6, 3, 4), vectors(), codes)
    assert float(found) == pytest.approx(sum(map(math.log, SIZES)) / 3)


def test_gradients_are_those_of_the_plain_form():
    states, codes, _ = rows()
    states = states.double().requires_grad_()
    own = [one.double().requires_grad_() for one in vectors()]
    found = torch.autograd.grad(next_code(states, own, codes), [states, *own])
    plain = torch.stack([cross_entropy(states[:, level] @ one.T, codes[:, level]) for level, one in enumerate(own)]).mean()
    for one, other in zip(found, torch.autograd.grad(plain, [states, *own]), strict=True):
        assert_close(one, other)
