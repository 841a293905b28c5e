from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.methods.rank.mmoe import MMoE, MMoEBody, MMoEConfig
from headrace.testing import check_batches, check_objective, check_scorer
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.tasks import TASKS, check_balanced, check_cut, check_learns, learned, some_body

SMALL = MMoEConfig(item_dim=4, feature_dim=3, experts=3, expert_hidden=(5,), hidden=(4,), history=5, batch_size=8)


@pytest.mark.parametrize(("sizes", "vectors"), [(SIZES, None), ({}, VECTORS)], ids=["features", "vectors"])
def test_contract(sizes, vectors):
    model, made, lists = learned(MMoE, SMALL, sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@pytest.mark.parametrize("tasks", [TASKS, ("a", "b", "c")])
def test_shared_is_a_cut(tasks):
    common = check_cut(some_body(MMoEBody, 4, tasks, experts=2, expert_hidden=(3,), hidden=(3,)), 4, tasks)
    assert {name for name in common if name.startswith("body")} == {
        f"body.experts.experts.{expert}.0.{what}" for expert in (0, 1) for what in ("weight", "bias")
    }


@torch.no_grad()
def test_a_body_by_hand():
    """Gates that say nothing leave the experts' mean; one that shouts, that expert alone."""
    body = some_body(MMoEBody, 3, TASKS, experts=2, expert_hidden=(4,), hidden=())
    x = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)) + 0.5
    experts = [torch.relu(one[0](x)) for one in body.experts.experts]
    first, second = body.heads.gates
    first.weigh.weight.zero_()
    second.weigh.weight.copy_(torch.tensor([[0.0] * 3, [500.0] * 3]))
    found = body(x)
    click, purchase = body.heads.towers
    assert_close(found.logits["click"], click.head((experts[0] + experts[1]) / 2).squeeze(-1))
    assert_close(found.logits["purchase"], purchase.head(experts[1]).squeeze(-1))
    assert_close(found.shared, torch.cat([*experts, x], -1))


def test_it_learns_a_rule_a_task():
    check_learns(MMoE, replace(SMALL, expert_hidden=(16,), hidden=(16,)))


def test_a_balancer_works_where_the_tasks_meet():
    check_balanced(MMoE, SMALL)
