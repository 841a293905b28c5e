import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from headrace.contracts.seams import Outputs
from headrace.objectives.listwise import ListwiseChoice, listwise
from headrace.objectives.softmax import softmax
from headrace.testing import check_loss, check_objective
from headrace.testing.examples import some_list_rows


class ByItem(nn.Module):
    """A score an item, the same for everybody."""

    def __init__(self, n_items):
        super().__init__()
        self.scores = nn.Embedding(n_items, 1)

    def user(self, batch):
        return {}

    def score(self, state, candidates):
        return Outputs({"choice": self.scores(candidates["items"]).squeeze(-1)})


def test_contract():
    check_loss(listwise, some_list_rows())
    check_loss(listwise, some_list_rows()[:2])
    batch = {
        "items": torch.tensor([[1, 2, 3], [3, 4, 0], [1, 2, 0]]),
        "label": torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]),
    }
    with torch.random.fork_rng():
        check_objective(ListwiseChoice("choice"), ByItem(5), batch)
    assert ListwiseChoice("choice").counts(batch) == {"choice": 2.0}


@pytest.mark.parametrize("chosen", [1, 2, 4])
def test_equal_logits_cost_log_n(chosen):
    label = (torch.arange(4) < chosen).float().expand(3, 4)
    assert_close(listwise(torch.zeros(3, 4), label), torch.tensor(math.log(4)))
    there = torch.tensor([True, True, True, False]).expand(3, 4)
    assert_close(listwise(torch.zeros(3, 4), label, there), torch.tensor(math.log(3)))


def test_a_golden_value():
    # candidates 0 and 2 chosen: the mean of -log p(0) = 2.40760596 and -log p(2) = 0.40760596
    loss = listwise(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[1.0, 0.0, 1.0]]))
    assert_close(loss, torch.tensor(1.40760596))


@given(st.integers(0, 9))
def test_one_chosen_is_softmax(seed):
    logits, _, _ = some_list_rows(seed=seed)
    target = torch.arange(len(logits)) % logits.shape[1]
    assert_close(listwise(logits, nn.functional.one_hot(target, logits.shape[1]).float()), softmax(logits, target))


@given(st.lists(st.floats(-50, 50), min_size=6, max_size=6), st.integers(0, 5))
def test_a_constant_a_request_does_not_count(shifts, seed):
    logits, label, there = some_list_rows(seed=seed)
    logits = logits.double()
    shifted = logits + torch.tensor(shifts, dtype=torch.float64).unsqueeze(-1)
    assert_close(listwise(shifted, label.double(), there), listwise(logits, label.double(), there))


def test_a_row_without_a_choice_is_left_out():
    logits, label, there = some_list_rows()
    more = (torch.cat([logits, torch.randn(1, 5)]), torch.cat([label, torch.zeros(1, 5)]), torch.cat([there, there[:1]]))
    assert_close(listwise(*more), listwise(logits, label, there))
