import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.seams import Outputs, Services
from headrace.data.rank_inputs import LABEL_OF
from headrace.methods.rank.shared_bottom import SharedBottom, SharedBottomConfig
from headrace.nn.task_scorer import WORTH
from headrace.objectives.choice import Perturb
from headrace.objectives.lspr import Lspr
from headrace.objectives.pseudo import PSEUDO
from headrace.objectives.tasks import TaskChoices, TasksConfig
from headrace.testing import check_objective
from headrace.testing.examples import some_lists
from tests.methods.examples import inputs
from tests.methods.rank.tasks import TASKS, check_balanced, learned, task_lists

NAN = float("nan")
SERVICES = Services({}, torch.Generator())
BATCH = {
    "items": torch.tensor([[1, 2, 3], [4, 5, 0]]),
    "label": torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
    "label.click": torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
    "label.purchase": torch.tensor([[1.0, NAN, NAN], [0.0, NAN, 1.0]]),
}
SEEN = {
    "known": torch.tensor([[True, True, False], [True, False, False]]),
    "pseudo": torch.tensor([[9.0, 9.0, 0.3], [9.0, 0.7, 9.0]]),
    "pseudo_weight": torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.5, 0.0]]),
}


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.click, self.purchase = (nn.Parameter(torch.linspace(a, b, 6)) for a, b in ((-1, 1), (0.5, -2)))

    def user(self, batch):
        return {}

    def score(self, state, candidates):
        z = torch.stack([self.click, self.purchase])[:, candidates["items"]]
        return Outputs(dict(zip(TASKS, z, strict=True)), shared=z)


@pytest.mark.parametrize("more", [{}, SEEN], ids=["all known", "with pseudo-labels"])
def test_contract(more):
    check_objective(TaskChoices(TASKS), Table(), {**BATCH, **more})


def test_a_mean_a_task_over_what_is_known_of_it():
    model = Table()
    found = TaskChoices(TASKS)(model, BATCH, SERVICES)
    assert list(found) == ["click", "purchase"]
    assert {name: one.count for name, one in found.items()} == {"click": 5, "purchase": 2}, "none of item 0"
    logit = model.purchase[[1, 4]].sigmoid()
    assert_close(found["purchase"].mean, -(logit[0].log() + (1 - logit[1]).log()) / 2)
    assert found["click"].shared is found["purchase"].shared
    assert found["click"].shared is not None


def test_pseudo_labels_are_of_the_first_task():
    found = TaskChoices(TASKS)(Table(), {**BATCH, **SEEN}, SERVICES)
    assert {name: one.count for name, one in found.items()} == {"click": 3, "purchase": 2, PSEUDO: 2}
    model = Table()
    TaskChoices(TASKS)(model, {**BATCH, **SEEN}, SERVICES)[PSEUDO].mean.backward()
    assert model.click.grad is not None
    assert torch.nonzero(model.click.grad).flatten().tolist() == [3, 5]
    assert model.purchase.grad is None or not model.purchase.grad.any()


def test_a_task_of_which_a_batch_knows_nothing_moves_nothing():
    model = Table()
    batch = {**BATCH, "label.purchase": torch.full((2, 3), NAN)}
    found = TaskChoices(TASKS)(model, batch, SERVICES)["purchase"]
    assert (found.mean.item(), found.count) == (0.0, 0.0)
    found.mean.backward()
    assert not any(one.grad.any() for one in model.parameters() if one.grad is not None)


SMALL = SharedBottomConfig(item_dim=4, feature_dim=3, bottom=(8,), hidden=(4,), history=5, batch_size=8)


def test_what_is_learned_from_lists():
    model, made, _ = learned(SharedBottom, replace(SMALL, pseudo_weight=0.7), task_lists(pseudo=True))
    (batch, *_) = made.batches.epoch(0)
    assert {"label.click", "label.purchase", "known", "pseudo", "pseudo_weight"} <= set(batch)
    assert made.weights == {PSEUDO: 0.7}
    check_objective(made.objectives[0], model, batch)
    plain = learned(SharedBottom, SMALL)[1]
    assert plain.weights == {}
    assert plain.batches.epoch(0)[0]["items"].shape[1] == 6, "whole lists"
    assert LABEL_OF == "label."


@pytest.mark.parametrize("perturb", [{}, {"at": "hidden", "noise": 0.3}, {"at": "input", "mask": 0.2}])
def test_it_can_be_perturbed(perturb):
    settings = parse(SharedBottomConfig, {**as_dict(SMALL), "perturb": perturb}, where="toml")
    model, made, _ = learned(SharedBottom, settings)
    assert type(made.objectives[0]) is Lspr
    batch = made.batches.epoch(0)[0]
    check_objective(made.objectives[0], model, batch)
    model.eval()
    services = Services({}, torch.Generator().manual_seed(0))
    moved, plain = made.objectives[0](model, batch, services), TaskChoices(TASKS)(model, batch, services)
    assert all(abs(moved[task].mean - plain[task].mean) > 1e-7 for task in TASKS)


def test_a_balancer_bears_a_perturbed_view():
    """Its loss reaches the body past `shared`, which is that of the clean view."""
    check_balanced(SharedBottom, replace(SMALL, perturb=Perturb()))


def test_what_a_candidate_is_worth():
    settings = replace(SMALL, worth={"purchase": 20.0, "click": 1.0})
    model, _, lists = learned(SharedBottom, settings)
    assert not model.probabilities
    model.eval()
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        logits = model.score(model.user(user), candidates).logits
    assert list(logits) == [WORTH, "click", "purchase"]
    wanted = logits["click"].sigmoid() + 20 * logits["purchase"].sigmoid()
    assert_close(logits[WORTH].exp(), wanted)


def test_mistakes():
    def says(kind, match, lists=None, **settings):
        with pytest.raises(kind, match=match):
            learned(SharedBottom, replace(SMALL, **settings), lists)

    says(ConfigError, r"several tasks and was given none. Give \[rank\] task = \[..\] with two or more", some_lists())
    says(ConfigError, 'was given one, "click"', task_lists(tasks=("click",)))
    says(ConfigError, '"purchases", which is no task of it. Did you mean "purchase"', worth={"purchases": 1.0})
    says(ConfigError, 'a task is named "pseudo"', task_lists(tasks=("click", "pseudo")))
    lists = task_lists()
    never = {**lists.tasks, "purchase": np.minimum(lists.tasks["purchase"], 0)}
    says(DataError, 'nothing can be learned of the task "purchase": of .* is known none is positive', replace(lists, tasks=never))
    dark = {**lists.tasks, "purchase": np.full_like(lists.label, NAN)}
    says(DataError, 'task "purchase": of 0 candidates whose label is known', replace(lists, tasks=dark))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"perturb": {"by": "scr"}}, 'several tasks are perturbed by lspr, and by is "scr"'),
        ({"perturb": {"groups": "user.age"}}, "groups are balanced over one task's loss"),
        ({"worth": {"click": 0.0}}, '"click" is 0.0'),
        ({"loss": "pointwise"}, '"loss" is not a key'),
    ],
)
def test_mistakes_in_a_toml(values, says):
    with pytest.raises(ConfigError) as error:
        parse(TasksConfig, values, where="shop.toml [rank.mmoe]")
    assert says in str(error.value)
    assert math.isclose(TasksConfig().pseudo_weight, 0.3)
