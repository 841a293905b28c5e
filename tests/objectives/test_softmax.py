import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from headrace.contracts.seams import Services
from headrace.objectives.softmax import NextItem, softmax, softmax_of_products
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


class Product(Bigram):
    """A model whose logits are products with item vectors."""

    def item_vectors(self):
        return self.embedding.weight


def products(rows, n, seed=0, scale=1.0):
    draw = torch.Generator().manual_seed(seed)
    hidden, vectors = (scale * torch.randn(size, 3, dtype=torch.float64, generator=draw) for size in (rows, n))
    return hidden.requires_grad_(), vectors.requires_grad_(), torch.randint(n, (rows,), generator=draw)


@given(rows=st.integers(0, 40), n=st.integers(1, 9), at_once=st.integers(1, 60), scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_products_in_slices_are_the_softmax_of_all(rows, n, at_once, scale):
    hidden, vectors, target = products(rows, n, rows, scale)
    slow = softmax(hidden @ vectors.T, target)
    wanted = torch.autograd.grad(5 * slow, (hidden, vectors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headrace.objectives.softmax._CPU_LOGITS", at_once)
        fast = softmax_of_products(hidden, vectors, target)
        found = torch.autograd.grad(5 * fast, (hidden, vectors))
        with torch.no_grad():
            assert_close(softmax_of_products(hidden, vectors, target), slow.detach())
    assert_close(fast, slow)
    assert_close(found, wanted)


def test_products_under_autocast_are_as_near_as_bfloat16():
    double = products(20, 6)
    hidden, vectors = (one.detach().float().requires_grad_() for one in double[:2])
    wanted = torch.autograd.grad(softmax(hidden @ vectors.T, double[2]), (hidden, vectors))
    with torch.autocast("cpu", torch.bfloat16):
        loss = softmax_of_products(hidden, vectors, double[2])
    assert loss.dtype == torch.float32
    found = torch.autograd.grad(loss, (hidden, vectors))
    assert_close(found, wanted, rtol=0, atol=0.01)  # bfloat16 keeps 8 bits of a product
    assert not found[0].equal(wanted[0])


def test_next_item_takes_products_where_the_model_has_them():
    with torch.random.fork_rng():
        check_objective(NextItem(), Product(5), BATCH)
        torch.manual_seed(0)
        model = Product(5)
    wanted = softmax(model.hidden(BATCH["items"]) @ model.embedding.weight.T, BATCH["targets"], BATCH["targets"] > 0)
    assert_close(NextItem()(model, BATCH, Services({}, torch.Generator()))["next_item"].mean, wanted)
