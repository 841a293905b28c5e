import math

import torch
from torch import nn
from torch.testing import assert_close

from headrace.contracts.seams import Outputs, Services
from headrace.objectives.domain import SHOWN, UNSHOWN, TwoHeads, reversed_gradient
from headrace.testing import check_objective
from tests.objectives.test_pseudo import BATCH

SERVICES = Services({}, torch.Generator())


class Heads(nn.Module):
    def __init__(self, domain=0.5):
        super().__init__()
        self.weight, self.level = nn.Parameter(torch.linspace(-1, 1, 7)), nn.Parameter(torch.tensor(domain))

    def user(self, batch):
        return {}

    def score(self, state, candidates):
        z = self.weight[candidates["items"]]
        return Outputs({"a": z, "b": 2 * z, "domain": self.level * reversed_gradient(z, 0.3)}, shared=z)


def test_contract():
    check_objective(TwoHeads("choice", ("a", "b")), Heads(), BATCH)


def test_a_classifier_that_knows_nothing_costs_log_two_of_either_population():
    found = TwoHeads("choice", ("a", "b"))(Heads(0.0), BATCH, SERVICES)
    assert_close(found[SHOWN].mean, torch.tensor(math.log(2)))
    assert_close(found[UNSHOWN].mean, torch.tensor(math.log(2)))
    assert (found[SHOWN].count, found[UNSHOWN].count) == (2, 3)


def test_a_reversed_gradient_keeps_the_value():
    z = torch.tensor([1.5, -2.0], requires_grad=True)
    turned = reversed_gradient(z, 0.3)
    assert torch.equal(turned, z)
    (gradient,) = torch.autograd.grad(turned.sum(), z)
    assert_close(gradient, torch.tensor([-0.3, -0.3]))


def test_the_classifier_learns_what_the_features_unlearn():
    """Its own weight goes down the slope of its loss; theirs goes up."""
    model = Heads()
    found = TwoHeads("choice", ("a", "b"))(model, BATCH, SERVICES)
    level, features = torch.autograd.grad(found[SHOWN].mean + found[UNSHOWN].mean, [model.level, model.weight])
    plain = torch.autograd.functional.jacobian(
        lambda weight: _apart(model.level.detach() * weight[BATCH["items"]]), model.weight.detach()
    )
    assert_close(features, -0.3 * plain)
    assert level.abs() > 0


def _apart(domain):
    shown, unshown = BATCH["known"], BATCH["pseudo_weight"] > 0
    loss = nn.functional.softplus
    return loss(-domain[shown]).mean() + loss(domain[unshown]).mean()
