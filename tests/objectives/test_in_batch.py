import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from headrace.objectives.in_batch import InBatchChoice, in_batch
from headrace.testing import check_objective

ZEROS = torch.zeros(4)


def some_scores(rows=4, seed=0):
    return torch.randn(rows, rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TwoTables(nn.Module):
    temperature = 0.5

    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(5, 3), nn.Embedding(5, 3)

    def user(self, batch):
        return self.users(batch["user"])

    def item(self, items):
        return self.items(items)

    def log_q(self, items):
        return torch.tensor([0.1, 0.2, 0.3, 0.2, 0.2]).log()[items]


def test_contract():
    batch = {"user": torch.tensor([0, 1, 2, 3]), "item": torch.tensor([1, 2, 1, 4])}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TwoTables()
    check_objective(InBatchChoice(), model, batch)


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_equal_scores_cost_log_rows(rows):
    log_q = torch.full((rows,), -math.log(max(rows - 1, 1)))
    assert_close(in_batch(torch.zeros(rows, rows), torch.arange(rows), log_q), torch.tensor(math.log(rows)))


def test_a_golden_value():
    """Two rows, so one negative each: row 0 tells 1 from 0 - log .25, row 1 tells 2 from 0 - log .5."""
    loss = in_batch(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([1, 2]), torch.tensor([0.5, 0.25]).log())
    wanted = (math.log1p(4 * math.exp(-1)) + math.log1p(2 * math.exp(-2))) / 2
    assert_close(loss, torch.tensor(wanted))


def test_the_same_item_again_is_no_negative():
    scores, items = some_scores(), torch.tensor([1, 2, 1, 3])
    for row, other in ((0, 2), (2, 0)):
        changed = scores.clone()
        changed[row, other] += 100
        assert_close(in_batch(changed, items, ZEROS.double()), in_batch(scores, items, ZEROS.double()))
    changed[1, 0] += 100
    assert in_batch(changed, items, ZEROS.double()) > 10


@given(st.lists(st.floats(-20, 20), min_size=4, max_size=4), st.integers(0, 5))
def test_a_constant_a_row_does_not_count(shifts, seed):
    scores, log_q = some_scores(seed=seed), torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64))
    shifted = scores + torch.tensor(shifts, dtype=torch.float64).unsqueeze(1)
    assert_close(in_batch(shifted, torch.arange(4), log_q), in_batch(scores, torch.arange(4), log_q))


def test_the_correction_makes_it_the_full_softmax():
    """What the paper is about: over many batches, corrected gradients point where the full softmax's do; uncorrected don't."""
    draw, n_items = torch.Generator().manual_seed(0), 6
    q = torch.tensor([0.45, 0.25, 0.15, 0.1, 0.04, 0.01])
    scores = torch.randn(n_items, generator=draw)

    def gradient(corrected):
        logits = scores.clone().requires_grad_()
        total = torch.zeros(())
        for _ in range(40):
            items = torch.multinomial(q, 256, replacement=True, generator=draw)
            total = total + in_batch(logits[items].expand(256, 256), items, q.log()[items] * corrected) / 40
        (found,) = torch.autograd.grad(total, logits)
        return found

    wanted = scores.softmax(0) - q  # the full softmax's, with the positives as often as they are
    assert (gradient(1.0) - wanted).abs().max() < 0.05
    assert (gradient(0.0) - wanted).abs().max() > 0.2


def test_half_precision_and_an_empty_batch():
    assert in_batch(some_scores().half(), torch.tensor([1, 1, 2, 3]), ZEROS).isfinite()
    assert in_batch(torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64), torch.zeros(0)) == 0
