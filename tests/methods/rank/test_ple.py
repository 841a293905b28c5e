from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.methods.rank.ple import PLE, PLEBody, PLEConfig
from headrace.testing import check_batches, check_objective, check_scorer
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.tasks import TASKS, check_balanced, check_cut, check_learns, learned, some_body

SMALL = PLEConfig(item_dim=4, feature_dim=3, expert_hidden=(8,), hidden=(8,), history=5, batch_size=8)


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize(("sizes", "vectors"), [(SIZES, None), ({}, VECTORS)], ids=["features", "vectors"])
def test_contract(sizes, vectors, levels):
    model, made, lists = learned(PLE, replace(SMALL, levels=levels), sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("tasks", [TASKS, ("a", "b", "c")])
def test_shared_is_a_cut(levels, tasks):
    body = some_body(PLEBody, 4, tasks, levels=levels, shared_experts=2, own_experts=2, expert_hidden=(3,), hidden=(3,))
    common = check_cut(body, 4, tasks)
    assert any("body.shared" in name for name in common)
    assert any("levels.0.own" in name for name in common) == (levels > 1), "read by other tasks through what is common"
    assert not any("heads" in name for name in common), "the last level's own"


@torch.no_grad()
def test_gates_see_their_own_and_the_common_experts():
    """Of the last level: another task's experts say nothing to this one. Of the first: they do, through what is common."""
    body = some_body(PLEBody, 3, TASKS, levels=2, expert_hidden=(16,), hidden=(16,))
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    before = body(x).logits
    body.heads.own[1].experts[0][0].bias.add_(1.0)
    last = body(x).logits
    assert last["click"].equal(before["click"])
    assert not torch.allclose(last["purchase"], before["purchase"], atol=1e-4)
    body.levels[0].own[1].experts[0][0].bias.add_(1.0)
    assert not torch.allclose(body(x).logits["click"], before["click"], atol=1e-6)


@torch.no_grad()
def test_one_level_by_hand():
    body = some_body(PLEBody, 3, TASKS, levels=1, shared_experts=1, own_experts=1, expert_hidden=(4,), hidden=())
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    found = body(x)
    common = torch.relu(body.shared.experts[0][0](x))
    for task, own, gate, top in zip(TASKS, body.heads.own, body.heads.gates, body.heads.towers, strict=True):
        share = gate.weigh(x).softmax(-1)
        mixed = share[:, :1] * common + share[:, 1:] * torch.relu(own.experts[0][0](x))
        assert_close(found.logits[task], top.head(mixed).squeeze(-1))
    assert_close(found.shared, torch.cat([common, x], -1))


def test_it_learns_a_rule_a_task():
    check_learns(PLE, replace(SMALL, expert_hidden=(16,), hidden=(16,)))


def test_a_balancer_works_where_the_tasks_meet():
    check_balanced(PLE, SMALL)
