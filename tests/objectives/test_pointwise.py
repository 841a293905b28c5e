import math

import torch
from torch import nn
from torch.testing import assert_close

from headrace.contracts.seams import Outputs, Services
from headrace.data.negatives import Uniform
from headrace.objectives.pointwise import OneNegative, PointwiseChoice, pointwise
from headrace.testing import check_loss, check_objective
from headrace.testing.examples import some_list_rows


class Factors(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(6, 4)

    def hidden(self, items):
        return self.table(items)

    def scores(self, hidden, items):
        return (hidden * self.table(items)).sum(-1)


class Always:
    """Negatives that are known."""

    def __init__(self, item):
        self.item = item

    def sample(self, shape, draw):
        return torch.full(shape, self.item)

    def log_q(self, items):
        return torch.zeros(items.shape)


BATCH = {"items": torch.tensor([[1, 2, 3], [4, 0, 0]]), "targets": torch.tensor([[2, 3, 4], [1, 0, 0]])}


def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Factors()


def test_contract():
    check_loss(pointwise, some_list_rows())
    check_loss(pointwise, some_list_rows()[:2])
    check_objective(OneNegative(Uniform(6)), model(), BATCH)


def test_golden_values():
    assert_close(pointwise(torch.zeros(3), torch.tensor([0.0, 1.0, 0.3])), torch.tensor(math.log(2)))
    # -log sigmoid(2) = 0.12692801, -log(1 - sigmoid(2)) = 2.12692801
    assert_close(pointwise(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 0.0])), torch.tensor(1.12692801))


def test_the_gradient_is_probability_less_truth():
    logits = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
    label = torch.tensor([1.0, 0.0, 0.25])
    pointwise(logits, label).backward()
    assert_close(logits.grad, (logits.detach().sigmoid() - label) / 3)


def test_one_negative_is_the_papers_sum():
    factors = model()
    loss = OneNegative(Always(5))(factors, BATCH, Services({}, torch.Generator()))["one_negative"]
    table = factors.table.weight
    terms = [
        -nn.functional.logsigmoid(table[past] @ table[right]) - torch.log(1 - torch.sigmoid(table[past] @ table[5]))
        for past, right in ((1, 2), (2, 3), (3, 4), (4, 1))
    ]
    assert loss.count == 4
    assert_close(loss.mean, torch.stack(terms).mean())


def test_negatives_are_drawn_from_the_steps_stream():
    def loss(seed):
        services = Services({}, torch.Generator().manual_seed(seed))
        return OneNegative(Uniform(6))(model(), BATCH, services)["one_negative"].mean

    assert loss(0).equal(loss(0))
    assert not loss(0).equal(loss(1))


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(6, 1)

    def user(self, batch):
        return {}

    def score(self, state, candidates):
        return Outputs({"choice": self.table(candidates["items"]).squeeze(-1)})


def test_each_real_candidate_of_a_list_is_a_term():
    """Padding is none; a list of which nothing was chosen is three."""
    batch = {"items": torch.tensor([[1, 2, 0], [3, 4, 5]]), "label": torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])}
    model, objective = Linear(), PointwiseChoice("choice")
    check_objective(objective, model, batch)
    with torch.no_grad():
        model.table.weight.zero_()
    loss = objective(model, batch, Services({}, torch.Generator()))["choice"]
    assert loss.count == 5
    assert_close(loss.mean, torch.tensor(math.log(2)))
