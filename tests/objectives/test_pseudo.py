import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from headrace.contracts.seams import Outputs, Services
from headrace.objectives.pointwise import PointwiseChoice
from headrace.objectives.pseudo import PSEUDO, PseudoChoice, soft
from headrace.testing import check_loss, check_objective
from headrace.testing.examples import some_list_rows

SERVICES = Services({}, torch.Generator())
BATCH = {
    "items": torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]),
    "label": torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]),
    "known": torch.tensor([[True, True, False, False], [False, False, False, False]]),
    "pseudo": torch.tensor([[9.0, 9.0, 0.6, 0.2], [0.7, 0.1, 9.0, 9.0]]),
    "pseudo_weight": torch.tensor([[0.0, 0.0, 1.0, 2.0], [0.5, 0.0, 0.0, 0.0]]),
}


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 7))

    def user(self, batch):
        return {}

    def score(self, state, candidates):
        logits = self.weight[candidates["items"]]
        return Outputs({"choice": logits}, shared=logits)


def test_contract():
    check_objective(PseudoChoice("choice"), Table(), BATCH)
    logits, label, there = some_list_rows()
    check_loss(lambda logits, label, mask: soft(logits, label, mask.float()), (logits, label, there))


def test_golden_values():
    zero = torch.zeros(3)
    assert_close(soft(zero, torch.tensor([0.0, 0.4, 1.0]), torch.tensor([1.0, 1.0, 0.0])), torch.tensor(math.log(2)))
    # the mean is over terms that count, not over weights: half as sure is half the pull
    assert_close(soft(zero, torch.tensor([0.0, 0.4, 1.0]), torch.tensor([0.5, 0.5, 0.0])), torch.tensor(math.log(2) / 2))


def test_a_head_named_pseudo_learns_them():
    class Two(Table):
        def score(self, state, candidates):
            outputs = super().score(state, candidates)
            return Outputs({**outputs.logits, PSEUDO: outputs.logits["choice"] + 1}, shared=outputs.shared)

    one, two = PseudoChoice("choice")(Table(), BATCH, SERVICES), PseudoChoice("choice")(Two(), BATCH, SERVICES)
    assert_close(two["choice"].mean, one["choice"].mean)
    assert abs(two[PSEUDO].mean - one[PSEUDO].mean) > 0.1


def test_each_candidate_is_in_one_loss():
    found = PseudoChoice("choice")(Table(), BATCH, SERVICES)
    assert (found["choice"].count, found[PSEUDO].count) == (2, 3)
    assert_close(found["choice"].mean, PointwiseChoice("choice")(Table(), BATCH, SERVICES)["choice"].mean)
    assert found["choice"].shared is found[PSEUDO].shared
    assert found["choice"].shared is not None


@pytest.mark.parametrize("name", ["choice", PSEUDO])
def test_a_loss_moves_its_own_candidates_alone(name):
    model = Table()
    PseudoChoice("choice")(model, BATCH, SERVICES)[name].mean.backward()
    assert model.weight.grad is not None
    moved = set(torch.nonzero(model.weight.grad).flatten().tolist())
    assert moved == {"choice": {1, 2}, PSEUDO: {3, 4, 5}}[name]
