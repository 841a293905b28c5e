import math

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.seams import Services
from headrace.objectives.codes import next_code
from headrace.objectives.unlikelihood import NextCodeOrNot, unlikelihood
from headrace.testing import check_loss
from tests.objectives.code_rows import rows, vectors


def test_contract():
    def loss(states, codes, mask=None):
        return unlikelihood(states, vectors(dtype=states.dtype), codes, mask)

    check_loss(loss, rows())


def test_it_is_the_log_of_what_is_left_for_the_others():
    states, codes, _ = rows()
    levels = [
        torch.log(1 - torch.softmax(states[:, level] @ own.T, -1).gather(1, codes[:, [level]])).mean()
        for level, own in enumerate(vectors())
    ]
    assert_close(unlikelihood(states, vectors(), codes), -torch.stack(levels).mean())


def test_what_is_improbable_already_costs_and_moves_almost_nothing_and_what_is_sure_a_bounded_amount():
    own = [torch.eye(3) * 40]
    states, codes = torch.tensor([[[1.0, 0, 0]]], requires_grad=True), torch.tensor([[2]])
    small = unlikelihood(states, own, codes)
    assert small.item() < 1e-6
    assert torch.autograd.grad(small, states)[0].abs().max() < 1e-6
    sure = unlikelihood(states, own, torch.tensor([[0]]))
    assert sure.item() == pytest.approx(-math.log(1e-6), rel=0.01)


class Fixed:
    """A model of given states."""

    levels = 3

    def __init__(self):
        self.states, self.codes, _ = rows()
        self.writer = self

    def states_and_codes(self, batch):
        return self.states, self.codes

    def vectors(self, level):
        return vectors()[level]


@pytest.mark.parametrize("wrong", [0, 2, 6])
def test_both_parts_are_means_over_the_whole_batch(wrong):
    model, sign = Fixed(), torch.where(torch.arange(6) < wrong, -1, 1)
    found = NextCodeOrNot()(model, {"item": torch.ones(6), "sign": sign}, Services({}, torch.Generator()))
    right, bad = model.states[wrong:], model.states[:wrong]
    assert_close(found["next_code"].mean, next_code(right, vectors(), model.codes[wrong:]) * (6 - wrong) / 6)
    assert_close(found["not_code"].mean, unlikelihood(bad, vectors(), model.codes[:wrong]) * wrong / 6)
    assert found["next_code"].count == found["not_code"].count == 6
