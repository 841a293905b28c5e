from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from headrace.methods.rank.eta import ETA, ETAConfig
from headrace.methods.rank.sim import SIM, SIMConfig
from headrace.methods.rank.twin import TWIN, TWINConfig
from headrace.testing import check_objective
from headrace.testing.examples import some_lists
from tests.methods.examples import SIZES
from tests.methods.rank.long import learned

WIDE: dict[str, Any] = {"item_dim": 32, "hidden": (8,), "history": 40, "kept": 2, "width": 6, "batch_size": 8}
SOFT = {**WIDE, "search": "soft"}
SEARCHES = [(SIM, SIMConfig(**WIDE)), (SIM, SIMConfig(**SOFT)), (ETA, ETAConfig(**WIDE)), (TWIN, TWINConfig(**WIDE))]
IDS = ["sim", "soft", "eta", "twin"]


class Largest(TorchDispatchMode):
    """Numbers in the largest tensor that was made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(one, torch.Tensor) and one.untyped_storage().nbytes() >= one.numel() * one.element_size():
                self.numbers = max(self.numbers, one.numel())
        return made


@pytest.mark.parametrize(("kind", "settings"), SEARCHES, ids=IDS)
def test_no_step_makes_a_vector_of_each_candidate_and_event(kind, settings):
    settings = replace(settings, history=200)
    model, made, _ = learned(kind, settings, sizes={"item.colour": 3})
    batch = made.batches.epoch(0)[0]
    many = {"items": batch["items"].repeat(1, 20), "retrieval": batch["retrieval"].repeat(1, 20, 1)}
    rows, width = many["items"].shape
    with Largest() as seen:
        loss = model.score(model.user(batch), many).logits["choice"].square().sum()
        torch.autograd.grad(loss, [one for one in model.parameters() if one.requires_grad], allow_unused=True)
    pairs = rows * width * settings.history
    assert pairs <= seen.numbers < 2 * pairs, "scores of all pairs; a vector of each would be 32 times as many"


@pytest.mark.parametrize(("kind", "settings"), SEARCHES, ids=IDS)
def test_what_is_read_moves_the_embeddings_and_what_is_not_does_not(kind, settings):
    model, made, _ = learned(kind, settings, sizes=SIZES)
    batch, model = made.batches.epoch(0)[0], model.eval()
    items = model.fields.known(batch["items"])
    found = model._found(model.user(batch), model._target(items), items)
    past = model._past(batch).detach().requires_grad_()
    state = {"keys": model.attend.keys(past), "values": model.attend.values(past), "there": batch["history"] > 0}
    state |= model._sought(model._items(batch))
    model._reading(state, model._target(items), items).square().sum().backward()
    if kind is not TWIN:  # its search reads the keys, which stand for `past` here as they do in `user`
        assert not any(state[name].requires_grad for name in state.keys() - {"keys", "values"})
    read = torch.zeros(past.shape[:2], dtype=torch.bool)
    for row in range(len(read)):
        read[row, found.places[row][found.there[row]]] = True
    assert past.grad.abs().sum(-1).gt(0).equal(read)
    assert not read.all()


@pytest.mark.parametrize(("kind", "settings"), SEARCHES, ids=IDS)
def test_they_give_probabilities_too(kind, settings):
    model, made, _ = learned(kind, replace(settings, loss="pointwise"), some_lists(12), SIZES)
    assert model.probabilities
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
