import functools
import math

import pytest
import torch
from torch.testing import assert_close

from headrace.nn.perturb import Perturbation
from headrace.objectives.pointwise import PointwiseChoice
from headrace.objectives.scr import Distance, Scr, consistency
from headrace.testing import check_loss, check_objective
from tests.nn.test_perturb import PLACES, model_and_batch
from tests.objectives.test_lspr import called

DISTANCES: tuple[Distance, ...] = ("logit_mse", "prob_mse", "symmetric_kl")


def scr(distance="logit_mse", at="embedding", noise=0.1, stop_gradient=False):
    return Scr(PointwiseChoice("choice"), "choice", Perturbation(at, noise), distance=distance, stop_gradient=stop_gradient)


@pytest.mark.parametrize("distance", DISTANCES)
def test_contract(distance):
    draw = torch.Generator().manual_seed(0)
    clean, moved = (torch.randn(4, 3, generator=draw) for _ in range(2))
    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True], [False, True, False]])
    check_loss(functools.partial(consistency, distance=distance), (clean, moved, mask), outputs=2)
    model, batch = model_and_batch()
    for at in PLACES:
        check_objective(scr(distance, at), model, batch)


def test_golden_values():
    """Of logits log 3 and 0: probabilities 3/4 and 1/2."""
    clean, moved = torch.tensor([math.log(3)]), torch.tensor([0.0])
    for distance, wanted in zip(DISTANCES, (math.log(3) ** 2, 1 / 16, math.log(3) / 4), strict=True):
        assert_close(consistency(clean, moved, distance=distance), torch.tensor(wanted))
        assert_close(consistency(moved, clean, distance=distance), torch.tensor(wanted))
    p, q = torch.distributions.Bernoulli(0.75), torch.distributions.Bernoulli(0.5)
    kl = torch.distributions.kl_divergence
    assert_close(consistency(clean, moved, distance="symmetric_kl"), kl(p, q) + kl(q, p))


def test_at_low_rates_probabilities_hardly_weigh():
    """prob_mse is (p (1 - p))² of logit_mse for small noise, the slope of the sigmoid squared."""
    clean = torch.tensor([-4.0], dtype=torch.float64)
    moved = clean + 1e-4
    p = clean.sigmoid()
    ratio = consistency(clean, moved, distance="prob_mse") / consistency(clean, moved, distance="logit_mse")
    assert_close(ratio, ((p * (1 - p)) ** 2).squeeze(), rtol=1e-3, atol=0)  # first order in noise of 1e-4


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("stop", [False, True])
def test_gradients(distance, stop):
    draw = torch.Generator().manual_seed(0)
    clean, moved = (torch.randn(6, generator=draw, dtype=torch.float64, requires_grad=True) for _ in range(2))
    value = functools.partial(consistency, distance=distance, stop_gradient=stop)
    value(clean, moved).backward()
    assert moved.grad is not None
    assert moved.grad.any()
    if stop:
        assert clean.grad is None
        assert torch.autograd.gradcheck(lambda b: value(clean.detach(), b), (moved,))
    else:
        assert torch.autograd.gradcheck(value, (clean, moved))


@pytest.mark.parametrize("distance", DISTANCES)
def test_without_noise_the_base_loss_is_itself_and_nothing_is_added(distance):
    model, batch = model_and_batch()
    wanted = called(PointwiseChoice("choice"), model, batch)["choice"]
    for at in PLACES:
        found = called(scr(distance, at, noise=0.0), model, batch)
        assert found["choice"].mean.equal(wanted.mean)
        assert found["consistency"].mean == 0
        assert found["consistency"].count == wanted.count


def test_the_base_loss_is_that_of_the_clean_view_and_the_labels_have_no_say_in_the_other():
    model, batch = model_and_batch()
    wanted = called(PointwiseChoice("choice"), model, batch)["choice"].mean
    found = called(scr(), model, batch)
    assert found["choice"].mean.equal(wanted)
    turned = called(scr(), model, {**batch, "label": 1 - batch["label"]})
    assert turned["consistency"].mean.equal(found["consistency"].mean)
    assert found["consistency"].mean > 0
