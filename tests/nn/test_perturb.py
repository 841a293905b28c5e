from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.seams import Services
from headrace.nn.perturb import Perturbation, Place, noisy, perturbed
from headrace.nn.seeded import seeded
from tests.methods.rank.test_dcnv2 import SMALL, learned

SETTINGS = replace(SMALL, loss="pointwise")
PLACES: tuple[Place, ...] = ("input", "embedding", "hidden")


def model_and_batch():
    model, made, _ = learned(settings=SETTINGS)
    return model.train(), made.batches.epoch(0)[0]


def services(seed=0):
    return Services({}, torch.Generator().manual_seed(seed))


def logits(model, batch):
    return model.score(model.user(batch), batch).logits["choice"]


def both(model, batch, how, seed=0):
    """Perturbed and clean logits of one step."""
    mine = services(seed)
    with seeded(seed, "step"):
        with perturbed(model, batch, mine, how) as (moved_batch, _):
            moved = logits(model, moved_batch)
        return moved, logits(model, batch)


def test_noise_is_in_root_mean_squares_and_leaves_empty_places_empty():
    values = torch.tensor([[3.0, -4.0] * 5000, [0.0, 0.0] * 5000], dtype=torch.float64, requires_grad=True)
    moved = noisy(values, 0.1, torch.Generator().manual_seed(0))
    noise = (moved - values).detach()
    # a deviation of 10,000 draws is known to 1 / sqrt(20,000) = 0.7%: four of these
    assert float(noise[0].std()) == pytest.approx(0.1 * 12.5**0.5, rel=0.03)
    assert not noise[1].any()
    moved.sum().backward()
    assert_close(values.grad, torch.ones_like(values), msg="the noise's size has no gradient")
    assert noisy(torch.zeros(2, 3, 0), 0.1, torch.Generator()).shape == (2, 3, 0)


@pytest.mark.parametrize("at", PLACES)
def test_without_noise_both_views_are_one_with_the_same_dropout(at):
    model, batch = model_and_batch()
    moved, clean = both(model, batch, Perturbation(at, 0.0))
    assert moved.equal(clean)


@pytest.mark.parametrize("how", [*(Perturbation(at, 0.1) for at in PLACES), Perturbation("input", 0.0, 0.3)])
def test_noise_moves_the_view_alike_in_the_same_step(how):
    model, batch = model_and_batch()
    given = {name: values.clone() for name, values in batch.items()}
    moved, clean = both(model, batch, how)
    assert not torch.allclose(moved, clean, atol=1e-4)
    again, clean_again = both(model, batch, how)
    assert again.equal(moved)
    assert clean_again.equal(clean)
    assert not both(model, batch, how, seed=1)[0].equal(moved)
    assert all(values.equal(given[name]) for name, values in batch.items())


@pytest.mark.parametrize("at", PLACES)
def test_nothing_is_left_behind(at):
    """No hook on the model, and neither torch's stream nor the services' has moved: the clean forward is as without it."""
    model, batch = model_and_batch()
    mine = services()
    before = mine.generator.get_state()
    with seeded(0, "step"):
        alone = logits(model, batch)
    with seeded(0, "step"):
        with pytest.raises(ValueError, match="inside"), perturbed(model, batch, mine, Perturbation(at, 0.1)):
            raise ValueError("inside")
        with perturbed(model, batch, mine, Perturbation(at, 0.1)) as (moved_batch, same):
            logits(model, moved_batch)
            torch.rand(3, generator=same.generator)
        assert logits(model, batch).equal(alone)
    assert mine.generator.get_state().equal(before)


def test_a_mask_hides_the_share_of_codes_it_says_and_no_candidate():
    model, batch = model_and_batch()
    batch = {**batch, "history": torch.ones(2000, 5, dtype=torch.int64)}
    with perturbed(model, batch, services(), Perturbation("input", 0.0, 0.2)) as (moved, _):
        hidden = (moved["history"] == 0).double().mean()
    assert float(hidden) == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / 10_000) ** 0.5)
    assert moved["items"].equal(batch["items"])
    assert moved["label"].equal(batch["label"])
    assert moved["retrieval"].equal(batch["retrieval"])
