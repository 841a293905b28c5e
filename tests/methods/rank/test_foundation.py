from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.methods.rank.foundation import FoundationBody, FoundationConfig, FoundationRanker
from headrace.testing import check_batches, check_objective, check_scorer
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.tasks import TASKS, check_balanced, check_cut, check_learns, learned, some_body

SMALL = FoundationConfig(
    item_dim=4, feature_dim=3, towers=(6,), user_width=5, item_width=3, crosses=2, hidden=(7, 4), history=5, batch_size=8
)


@pytest.mark.parametrize(("sizes", "vectors"), [(SIZES, None), ({}, VECTORS)], ids=["features", "vectors"])
def test_contract(sizes, vectors):
    model, made, lists = learned(FoundationRanker, SMALL, sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@pytest.mark.parametrize("tasks", [TASKS, ("a", "b", "c")])
def test_shared_is_a_cut(tasks):
    common = check_cut(some_body(FoundationBody, 4, tasks, crosses=1, hidden=(3,)), 4, tasks)
    assert {name for name in common if name.startswith("body")} == {
        f"body.block.{part}.0.{what}" for part in ("crosses", "dense") for what in ("weight", "bias")
    }


@torch.no_grad()
def test_what_is_handed_on_is_what_the_tasks_are_read_from():
    model, _, lists = learned(FoundationRanker, SMALL)
    user, candidates = inputs(model.eval(), lists)
    state = model.user(user)
    found = model.extract(state, candidates)
    rows, width = candidates["items"].shape
    assert {name: values.shape[2:] for name, values in found.items()} == {
        "UR": (5,), "IR": (3,), "CR0": (8,), "CR1": (8,), "CR2": (8,), "CR3": (7,), "CR4": (4,),
    }  # fmt: skip
    assert model.widths == {name: values.shape[-1] for name, values in found.items() if name != "IR"}
    assert all(values.shape[:2] == (rows, width) for values in found.values())
    assert_close(found["CR0"], torch.cat([found["UR"], found["IR"]], -1))
    outputs = model.score(state, candidates)
    assert_close(outputs.shared, found["CR4"])
    assert_close(outputs.logits, dict(model.body.heads(found["CR4"])))


def test_fields_are_named_with_what_they_are():
    model, _, _ = learned(FoundationRanker, SMALL)
    assert model.read == {
        "user.age": ("category", 4), "item.colour": ("category", 3), "item.geo.country/region%": ("category", 2),
        "item.tags": ("bag", 5), "history": ("events", 5),
    }  # fmt: skip
    model, _, _ = learned(FoundationRanker, SMALL, sizes={}, vectors=VECTORS)
    assert model.read == {"item.vector": ("vector", 5), "history": ("events", 5)}


@torch.no_grad()
def test_each_side_knows_nothing_of_the_other():
    """UR is one a request whatever the candidate, IR one an item whoever asks; what retrievers said changes nothing."""
    model, _, lists = learned(FoundationRanker, SMALL)
    user, candidates = inputs(model.eval(), lists)
    found = model.extract(model.user(user), candidates)
    assert found["UR"].equal(found["UR"][:, :1].expand_as(found["UR"]))
    items = candidates["items"]
    assert_close(found["IR"], model.items(torch.arange(20))[items])
    silent = {**candidates, "retrieval": torch.zeros_like(candidates["retrieval"])}
    assert model.score(model.user(user), silent).logits["click"].equal(model.score(model.user(user), candidates).logits["click"])


def test_it_learns_a_rule_a_task():
    check_learns(FoundationRanker, replace(SMALL, hidden=(16,)))


def test_a_balancer_works_where_the_tasks_meet():
    check_balanced(FoundationRanker, SMALL)
