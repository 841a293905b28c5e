from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.methods.rank.shared_bottom import SharedBottom, SharedBottomBody, SharedBottomConfig
from headrace.testing import check_batches, check_objective, check_scorer
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.tasks import TASKS, check_balanced, check_cut, check_learns, learned, some_body

SMALL = SharedBottomConfig(item_dim=4, feature_dim=3, bottom=(8,), hidden=(4,), history=5, batch_size=8)


@pytest.mark.parametrize(("sizes", "vectors"), [(SIZES, None), ({}, None), ({}, VECTORS)], ids=["features", "none", "vectors"])
def test_contract(sizes, vectors):
    model, made, lists = learned(SharedBottom, SMALL, sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))
    assert model.probabilities


@pytest.mark.parametrize("bottom", [(), (6, 5)])
@pytest.mark.parametrize("tasks", [TASKS, ("a", "b", "c")])
def test_shared_is_a_cut(bottom, tasks):
    common = check_cut(some_body(SharedBottomBody, 4, tasks, bottom=bottom, hidden=(3,)), 4, tasks)
    assert any("bottom" in name for name in common) == bool(bottom)
    assert not any("heads" in name for name in common)


@torch.no_grad()
def test_a_body_by_hand():
    body = some_body(SharedBottomBody, 3, TASKS, bottom=(2,), hidden=())
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    found = body(x)
    assert_close(found.shared, torch.relu(body.bottom[0](x)))
    for task, tower in zip(TASKS, body.heads.towers, strict=True):
        assert_close(found.logits[task], tower.head(found.shared).squeeze(-1))


def test_it_learns_a_rule_a_task():
    check_learns(SharedBottom, replace(SMALL, bottom=(16,), hidden=(16,)))


def test_a_balancer_works_where_the_tasks_meet():
    check_balanced(SharedBottom, SMALL)
