import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from headrace.contracts.seams import Outputs, Services
from headrace.data.summarised import SUMMARY
from headrace.objectives.listwise import ListwiseChoice
from headrace.objectives.pointwise import PointwiseChoice
from headrace.objectives.pseudo import PseudoChoice
from headrace.objectives.summary import WithSummary, summary_loss
from headrace.testing import check_loss, check_objective

NONE = Services({}, torch.Generator())

WORDS = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
TOKENS = torch.tensor([[3, 4, 2], [5, 2, 0], [0, 0, 0], [6, 6, 6]])


def some_states(rows=4):
    return torch.randn(rows, 3, 4, generator=torch.Generator().manual_seed(1))


def test_contract():
    check_loss(lambda states, tokens: summary_loss(states, WORDS, tokens), [some_states(), TOKENS])


def test_words_that_are_all_as_likely_cost_the_log_of_their_number_each():
    """Five tokens of two users; one with none has no say."""
    found = summary_loss(torch.zeros(3, 3, 4), WORDS, TOKENS[:3])
    assert_close(found, torch.tensor(5 / 2 * math.log(7)))


def test_it_is_the_sum_over_tokens():
    states = some_states()
    log_p = torch.log_softmax(states @ WORDS.T, -1)
    wanted = -sum(log_p[r, t, TOKENS[r, t]] for r in range(4) for t in range(3) if TOKENS[r, t]) / 3
    assert_close(summary_loss(states, WORDS, TOKENS), wanted)


def test_nobody_with_a_summary_costs_nothing():
    states = some_states(2).requires_grad_()
    loss = summary_loss(states, WORDS, torch.zeros(2, 3, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert not states.grad.any()


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.map, self.table, self.asked = nn.Linear(3, 4), nn.Parameter(WORDS.clone()), 0

    def user(self, batch):
        self.asked += 1
        return {"side": batch["past"], SUMMARY: self.map(batch["past"]).unsqueeze(1).expand(-1, 3, -1)}

    def score(self, state, candidates):
        return Outputs({"choice": self.map(state["side"])[:, : candidates["items"].shape[1]]})

    def words(self):
        return self.table


def some_batch():
    past = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    label = torch.eye(4)[:, :3]
    return {"past": past, "items": torch.ones(4, 3, dtype=torch.int64), "label": label, SUMMARY: TOKENS}


@pytest.mark.parametrize("base", [ListwiseChoice, PointwiseChoice, PseudoChoice])
def test_two_losses_of_one_pass_over_the_user(base):
    model, batch, objective = Model(), some_batch(), WithSummary(base("choice"))
    if base is PseudoChoice:
        batch |= {"known": batch["label"] > 0, "pseudo": torch.full((4, 3), 0.5), "pseudo_weight": 1 - batch["label"]}
    check_objective(objective, model, batch)
    model.asked = 0
    losses = objective(model, batch, NONE)
    assert model.asked == 1
    alone = base("choice")(model, batch, NONE)
    assert {name: loss.mean.item() for name, loss in losses.items() if name != SUMMARY} == {
        name: loss.mean.item() for name, loss in alone.items()
    }
    assert losses[SUMMARY].count == 3, "rows with a summary, not tokens"


def test_parts_of_a_step_weighed_by_their_counts_are_the_whole():
    model, batch, objective = Model(), some_batch(), WithSummary(ListwiseChoice("choice"))
    whole = objective(model, batch, NONE)[SUMMARY].mean
    parts = [{name: values[rows] for name, values in batch.items()} for rows in (slice(0, 1), slice(1, 3), slice(3, 4))]
    found = (
        torch.stack([objective(model, part, NONE)[SUMMARY].mean * objective.counts(part)[SUMMARY] for part in parts]).sum() / 3
    )
    assert_close(found, whole)
