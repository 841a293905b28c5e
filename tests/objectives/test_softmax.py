import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from headrace.contracts.seams import Services
from headrace.objectives.softmax import NextItem, softmax
from headrace.testing import check_loss, check_objective
from headrace.testing.examples import some_class_rows


class Bigram(nn.Module):
    """The smallest model that NextItem can train."""

    def __init__(self, n_items, dim=4):
        super().__init__()
        self.embedding, self.head = nn.Embedding(n_items, dim), nn.Linear(dim, n_items)

    def hidden(self, items):
        return self.embedding(items)

    def logits(self, hidden):
        return self.head(hidden)


BATCH = {"items": torch.tensor([[1, 2, 3], [4, 0, 0]]), "targets": torch.tensor([[2, 3, 4], [1, 0, 0]])}


def test_contract():
    check_loss(softmax, some_class_rows())
    check_loss(softmax, some_class_rows()[:2])
    with torch.random.fork_rng():
        check_objective(NextItem(), Bigram(5), BATCH)


@pytest.mark.parametrize("n", [2, 10, 1000])
def test_equal_logits_cost_log_n(n):
    assert_close(softmax(torch.zeros(4, n), torch.arange(4) % n), torch.tensor(math.log(n)))


def test_a_golden_value():
    # -log(e^2 / (e^2 + e + 1))
    assert_close(softmax(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([2])), torch.tensor(0.40760596))


@given(st.floats(-50, 50), st.integers(0, 5))
def test_only_differences_count(shift, seed):
    logits, target, mask = some_class_rows(seed=seed)
    logits = logits.double()
    assert_close(softmax(logits + shift, target, mask), softmax(logits, target, mask))


def test_the_gradient_is_probability_less_truth():
    logits, target, _ = some_class_rows()
    logits = logits[:, 0].double().requires_grad_()
    softmax(logits, target[:, 0]).backward()
    truth = nn.functional.one_hot(target[:, 0], logits.shape[1])
    assert_close(logits.grad, (logits.detach().softmax(-1) - truth) / len(logits))


def test_next_item_is_the_mean_over_real_positions():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Bigram(5)
    loss = NextItem()(model, BATCH, Services({}, torch.Generator()))["next_item"]
    pairs = [(1, 2), (2, 3), (3, 4), (4, 1)]
    logits = model.logits(model.hidden(torch.tensor([item for item, _ in pairs])))
    by_hand = torch.stack([-row.log_softmax(-1)[target] for row, (_, target) in zip(logits, pairs, strict=True)]).mean()
    assert loss.count == 4
    assert_close(loss.mean, by_hand)
