import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.balance.oracles import Shared, Theta, Unseen
from headrace.contracts.errors import ConfigError
from tests.balance.tasks import TASKS, Tasks, explicit, gradients, losses, rows

WEIGHTS = (0.5, 2.0, -0.25)


def descended(oracle, weights=WEIGHTS):
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    look = oracle(list(found.values()), z)
    look.descend(weights)
    return model, look


def wanted(model, weights=WEIGHTS, heads="own"):
    by_task = explicit(model, rows())
    total = {}
    for name, _ in model.named_parameters():
        own = name.startswith("heads") and heads == "own"
        total[name] = sum((1.0 if own else weight) * by_task[task][name] for task, weight in zip(TASKS, weights, strict=True))
    return total


@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize("oracle", [Shared, Theta])
def test_the_gradient_is_the_weighted_sum_of_explicit_ones(oracle, heads):
    model, _ = descended(oracle(heads))
    found = gradients(model)
    assert_close(found, wanted(model, heads=heads))


@pytest.mark.parametrize("weights", [WEIGHTS, (0.5, 0.0, 2.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize("oracle", [Shared, Theta])
def test_unlooked_leaves_the_same_gradient(oracle, heads, weights):
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    look = oracle(heads).unlooked(list(found.values()), z)
    assert look.gram is None
    look.descend(weights)
    assert_close(gradients(model), wanted(model, weights, heads))


@pytest.mark.parametrize("oracle", [Shared, Theta])
def test_unlooked_heads_that_share_a_parameter_get_the_sum(oracle):
    model, batch, found_by = Tasks(), rows(), []
    for look in (oracle("own"), oracle("own").unlooked):
        model.zero_grad()
        z, found = losses(model, batch)
        tied = [found["click"], found["buy"] + model.heads["click"].weight.square().sum(), found["like"]]
        look(tied, z).descend(WEIGHTS)
        found_by.append(gradients(model))
    assert_close(*found_by)


def test_unseen_weighs_whole_losses():
    model, look = descended(Unseen())
    found = gradients(model)
    assert look.gram is None
    assert_close(found, wanted(model, heads="weighted"))


def test_the_gram_matrix_is_that_of_the_gradients():
    model, look = descended(Theta())
    by_task = explicit(model, rows())
    body = [torch.cat([g.flatten() for name, g in by_task[task].items() if name.startswith("body")]) for task in TASKS]
    assert_close(torch.from_numpy(look.gram), torch.stack(body) @ torch.stack(body).T)
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    at_z = torch.stack([torch.autograd.grad(loss, z, retain_graph=True)[0].flatten() for loss in found.values()])
    assert_close(torch.from_numpy(Shared()(list(found.values()), z).gram), at_z @ at_z.T)


@pytest.mark.parametrize("oracle", [Shared, Theta])
def test_a_way_past_the_representation_is_not_lost(oracle):
    """As a gate that reads the input of the body, or a penalty on its weights."""
    model, batch = Tasks(), rows()
    penalty = lambda: model.body[0].weight.square().sum()  # noqa: E731
    z, found = losses(model, batch)
    oracle()([found["click"] + penalty(), found["buy"]], z).descend([3.0, 2.0])
    got = gradients(model, "body")
    model.zero_grad()
    _, found = losses(model, batch)
    (3 * (found["click"] + penalty()) + 2 * found["buy"]).backward()
    assert_close(got, gradients(model, "body"))


@pytest.mark.parametrize("oracle", [Shared, Theta, lambda heads: Unseen()])
def test_a_loss_without_weight_is_left_out_whatever_it_holds(oracle):
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    bad = found["like"] * float("nan")
    look = oracle("own")([found["click"], bad, found["buy"]], z)
    if look.gram is not None:
        assert np.isnan(look.gram[1, 1])
        assert np.isfinite(look.gram[np.ix_([0, 2], [0, 2])]).all()
    look.descend([1.0, None, 2.0])
    assert all(one.grad is None or one.grad.isfinite().all() for one in model.parameters())
    assert model.heads["like"].weight.grad is None


def test_a_heads_gradient_that_is_no_number_shows_in_the_gram_matrix():
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    (grown,) = model.heads["buy"].bias.expand(1)
    broken = found["buy"] + (grown - grown.detach()).sqrt()  # its gradient at 0 is infinite
    gram = Shared()([found["click"], broken], z).gram
    assert gram is not None
    assert np.isfinite(gram[0, 0])
    assert np.isnan(gram[1, 1])


def test_what_the_oracle_at_the_representation_cannot_do_is_said():
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    with pytest.raises(ConfigError, match='names no representation.*oracle = "theta"'):
        Shared()(list(found.values()), None)
    with pytest.raises(ConfigError, match="shares a representation that is not trained"):
        Shared()(list(found.values()), z.detach())
    with pytest.raises(ConfigError, match="No loss is computed from the representation"):
        Shared()(list(found.values()), z * 1)
