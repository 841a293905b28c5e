from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from headrace.methods.rank.esmm import ESMM, ESMMBody, ESMMConfig, both
from headrace.testing import check_batches, check_objective, check_scorer
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.tasks import TASKS, check_balanced, check_cut, check_learns, learned, some_body

SMALL = ESMMConfig(item_dim=4, feature_dim=3, hidden=(6,), history=5, batch_size=8)
numbers = st.floats(-30, 30)


@pytest.mark.parametrize(("sizes", "vectors"), [(SIZES, None), ({}, VECTORS)], ids=["features", "vectors"])
def test_contract(sizes, vectors):
    model, made, lists = learned(ESMM, SMALL, sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@pytest.mark.parametrize("tasks", [TASKS, ("a", "b", "c")])
def test_shared_is_a_cut(tasks):
    common = check_cut(some_body(ESMMBody, 4, tasks, hidden=(3,)), 4, tasks)
    assert {name.split(".")[1] for name in common if name.startswith("body")} == {"click"}, "the others' losses are its too"


@given(a=numbers, b=numbers)
def test_the_logit_of_a_product(a, b):
    a, b = (torch.tensor(value, dtype=torch.float64) for value in (a, b))
    assert_close(both(a, b).sigmoid(), a.sigmoid() * b.sigmoid())
    assert both(a, b) < min(a, b)


def test_the_logit_of_a_product_is_finite_and_moves_at_any_size():
    a, b = (torch.tensor([200.0, -200.0, -200.0, 200.0]), torch.tensor([200.0, 200.0, -200.0, -200.0]))
    a.requires_grad_()
    found = both(a, b)
    assert_close(found.detach(), torch.tensor([200 - torch.tensor(2.0).log().item(), -200.0, -400.0, -200.0]))
    found.sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()


@torch.no_grad()
def test_what_follows_a_click_is_less_likely_than_it():
    tasks = ("click", "purchase", "review")
    body = some_body(ESMMBody, 3, tasks, hidden=(4,))
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    found = body(x)
    click = found.logits["click"].sigmoid()
    assert_close(found.logits["click"], body.click(x))
    for task, tower in zip(tasks[1:], body.heads.towers, strict=True):
        assert_close(found.logits[task].sigmoid(), click * tower(x).sigmoid())
    assert_close(found.shared, torch.cat([x, found.logits["click"].unsqueeze(-1)], -1))


def test_it_learns_a_rule_a_task():
    check_learns(ESMM, replace(SMALL, hidden=(16, 8)))


def test_a_balancer_works_where_the_tasks_meet():
    check_balanced(ESMM, SMALL)
