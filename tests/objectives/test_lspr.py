import torch
from hypothesis import given
from hypothesis.strategies import floats, integers
from torch.testing import assert_close

from headrace.contracts.seams import Services
from headrace.nn.perturb import Perturbation
from headrace.nn.seeded import seeded
from headrace.objectives.lspr import Lspr, LsprByGroup, alphas_of_groups, lspr, lspr_by_group
from headrace.objectives.pointwise import PointwiseChoice
from headrace.objectives.scr import consistency
from headrace.testing import check_objective
from tests.nn.test_perturb import PLACES, model_and_batch

HOW = Perturbation("embedding", 0.1)


def called(objective, model, batch, seed=0):
    with seeded(seed, "step"):
        return objective(model, batch, Services({}, torch.Generator().manual_seed(seed)))


def test_contract():
    model, batch = model_and_batch()
    for at in PLACES:
        check_objective(Lspr(PointwiseChoice("choice"), Perturbation(at, 0.1), 0.3), model, batch)
    check_objective(LsprByGroup("choice", "user.age", HOW, 0.3), model, batch)
    assert LsprByGroup.crosses_rows
    assert not Lspr(PointwiseChoice("choice"), HOW, 0.3).crosses_rows


def test_without_noise_it_is_the_base_loss_to_the_last_bit():
    model, batch = model_and_batch()
    base = PointwiseChoice("choice")
    wanted = called(base, model, batch)["choice"]
    for at in PLACES:
        for alpha in (0.1, 0.3, 0.7, 1.0):
            found = called(Lspr(base, Perturbation(at, 0.0), alpha), model, batch)["choice"]
            assert found.mean.equal(wanted.mean)
            assert found.count == wanted.count == float((batch["items"] > 0).sum())
    for alpha in (0.1, 0.3, 1.0):
        grouped = called(LsprByGroup("choice", "user.age", Perturbation("hidden", 0.0), alpha), model, batch)["choice"]
        assert grouped.mean.equal(wanted.mean)


def test_with_a_share_of_nothing_it_is_the_base_loss_whatever_the_noise():
    model, batch = model_and_batch()
    base = PointwiseChoice("choice")
    assert called(Lspr(base, HOW, 0.0), model, batch)["choice"].mean.equal(called(base, model, batch)["choice"].mean)


def test_the_same_step_again_has_the_same_noise_and_another_has_another():
    model, batch = model_and_batch()
    objective = Lspr(PointwiseChoice("choice"), HOW, 0.5)
    first = called(objective, model.eval(), batch)["choice"].mean
    assert called(objective, model, batch)["choice"].mean.equal(first)
    assert not called(objective, model, batch, seed=1)["choice"].mean.equal(first)


def linear_and_squared(alpha=0.3, sigma=0.2):
    """A linear model and its squared errors; noise whose sum is 0 and whose second moment is exactly σ² I: ±σ sqrt(D) e_d."""
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(shape, generator=draw, dtype=torch.float64) for shape in ((7, 3), (7,)))
    w = torch.randn(3, generator=draw, dtype=torch.float64, requires_grad=True)
    noise = sigma * 3**0.5 * torch.cat([torch.eye(3), -torch.eye(3)]).double()  # [6, 3]
    clean = (x @ w).expand(6, 7)
    moved = clean + (noise @ w).unsqueeze(1)
    base = ((x @ w) - y).square().mean()
    ridge = base + alpha * sigma**2 * w.square().sum()
    by_lspr = lspr((clean - y).square(), (moved - y).square(), alpha).mean()
    by_scr = base + alpha * consistency(clean, moved, distance="logit_mse")
    return w, base, ridge, by_lspr, by_scr


def test_for_a_linear_model_and_squared_errors_lspr_and_scr_are_one_ridge():
    w, base, *three = linear_and_squared()
    assert (three[0] - base).item() > 1e-3
    gradients = [torch.autograd.grad(one, w, retain_graph=True)[0] for one in three]
    for one, gradient in zip(three, gradients, strict=True):
        assert_close(one, three[0], rtol=1e-12, atol=0)
        assert_close(gradient, gradients[0], rtol=1e-12, atol=1e-15)


def test_of_a_logit_it_adds_a_ridge_weighted_by_how_uncertain_it_is():
    """α σ² / 2 · p (1 - p) |w|², to second order: what is left is of the fourth."""
    w, b, alpha, sigma = torch.tensor([0.5, -1.0, 0.25]).double(), -2.0, 0.5, 1e-3
    noise = sigma * 3**0.5 * torch.cat([torch.eye(3), -torch.eye(3)]).double()
    for label in (0.0, 1.0):
        clean, moved = torch.full((6,), b).double(), b + noise @ w
        before, after = (torch.nn.functional.softplus(one) - label * one for one in (clean, moved))
        added = lspr(before, after, alpha).mean() - before.mean()
        p = torch.tensor(b).double().sigmoid()
        # what is left is below σ² of it, and float64's own error of a difference of 2e-7 in 2 is 1e-9
        assert_close(added, alpha * sigma**2 / 2 * p * (1 - p) * w.square().sum(), rtol=1e-5, atol=0)


def test_the_gradient_is_that_of_finite_differences():
    draw = torch.Generator().manual_seed(0)
    clean, moved = (torch.rand(6, generator=draw, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: lspr(a, b, 0.3), (clean, moved))


def test_groups_weigh_alike():
    losses, groups = torch.tensor([1.0, 1.0, 1.0, 4.0]), torch.tensor([5, 5, 5, 9])
    alphas = alphas_of_groups(losses, groups, 0.3)
    # in proportion to 1, 1, 1, 1/4, with a mean of 0.3
    assert_close(alphas, 0.3 * torch.tensor([1.0, 1.0, 1.0, 0.25]) / 0.8125)
    assert_close(alphas[0] * 1.0, alphas[3] * 4.0)
    assert_close(alphas_of_groups(losses, torch.zeros(4, dtype=torch.int64), 0.3), torch.full((4,), 0.3))
    assert alphas_of_groups(torch.tensor([1e-9, 5.0]), torch.tensor([0, 1]), 0.6).max() == 1
    assert lspr_by_group(losses[:0], losses[:0], groups[:0], 0.3) == 0


@given(alpha=floats(0, 0.3), seed=integers(0, 100))
def test_groups_of_one_loss_are_the_plain_form(alpha, seed):
    draw = torch.Generator().manual_seed(seed)
    clean, moved = (torch.rand(8, generator=draw, dtype=torch.float64) + 0.1 for _ in range(2))
    alike = clean.new_full((8,), 0.7)
    groups = torch.randint(3, (8,), generator=draw)
    assert_close(lspr_by_group(alike, moved, groups, alpha), lspr(alike, moved, alpha).mean())
    # a batch's mean share is the plain form's, whatever the groups, as long as none is cut at 1
    alphas = alphas_of_groups(clean, groups, alpha)
    if alphas.max() < 1:
        assert_close(alphas.mean(), torch.tensor(alpha, dtype=torch.float64))
