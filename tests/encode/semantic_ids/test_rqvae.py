"""The learned quantiser, both ways of keeping its codebooks."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Services
from headrace.contracts.training import TrainConfig
from headrace.encode.semantic_ids.rqvae import Quantising, RqVae, RqVaeConfig
from headrace.nn.seeded import seeded
from headrace.testing.batches import check_batches
from headrace.testing.objective import check_objective
from headrace.testing.quantiser import check_quantiser
from headrace.train.trainer import Trained, train
from tests.encode.semantic_ids.clustered import chosen, clustered

Kind = Literal["gradient", "ema"]
KINDS: tuple[Kind, ...] = ("gradient", "ema")
VECTORS = np.concatenate([np.zeros((1, 12), np.float32), clustered(400)])
EVERYTHING = chosen(np.arange(len(VECTORS)) > 0)
FAST = TrainConfig(epochs=25, learning_rate=3e-3, weight_decay=0.01)


def small(kind: Kind, **more: Any) -> RqVaeConfig:
    return RqVaeConfig(codebooks=kind, levels=3, codes=8, hidden=(16,), latent=8, batch_size=128, dropout=0.0, train=FAST, **more)


def learning(config: RqVaeConfig, interactions: Interactions = EVERYTHING, vectors: Any = VECTORS) -> tuple[RqVae, Learned]:
    made = RqVae(config)
    with seeded(0, "test"):
        return made, made.learn(interactions, {"item_vectors": vectors})


def trained(config: RqVaeConfig, **more: Any) -> tuple[RqVae, Trained]:
    made, learned = learning(config, **more)
    return made, train(learned, config.train, seed=0, artifacts={"item_vectors": VECTORS})


@pytest.fixture(scope="module")
def fitted() -> dict[str, tuple[RqVae, Trained]]:
    return {kind: trained(small(kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind: Kind, fitted: dict[str, tuple[RqVae, Trained]]) -> None:
    check_quantiser(fitted[kind][0], VECTORS[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_the_objective_and_its_batches_keep_their_promises(kind: Kind) -> None:
    made, learned = learning(small(kind))
    check_batches(learned.batches)
    objective = learned.objectives[0]
    check_objective(objective, made, learned.batches.epoch(0)[0])
    assert getattr(objective, "crosses_rows") is (kind == "ema")  # noqa: B009 (no part of the protocol)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_uses_most_of_its_codes(kind: Kind, fitted: dict[str, tuple[RqVae, Trained]]) -> None:
    made, curve = fitted[kind][0], fitted[kind][1].curve
    assert curve[-1]["reconstruction"] < 0.5 * curve[0]["reconstruction"]
    codes = made.encode(VECTORS[1:])
    assert all(len(np.unique(codes[:, level])) > 4 for level in range(3)), "more than half of eight, at each level"
    errors = [np.square(VECTORS[1:] - made.decode(codes[:, :depth])).mean() for depth in (0, 3)]
    assert errors[1] < 0.3 * errors[0]


def test_codebooks_begin_at_the_centroids_of_what_the_encoder_gives() -> None:
    made, learned = learning(small("gradient"))
    with torch.no_grad():
        z = made.encoder(made.eval() and learned.batches.vectors)  # type: ignore[attr-defined]
    found = made.codebooks(z)
    means = torch.stack([z[found.codes[:, 0] == code].mean(0) for code in range(8)])
    # The last pass moves points that its centroids were not yet the mean of: k-means stops at 1e-4 of the error.
    torch.testing.assert_close(made.codebooks.vectors[0].detach(), means, atol=0.05, rtol=0)
    by_average, _ = learning(small("ema"))
    drawn = by_average.codebooks.vectors[0]
    assert not torch.allclose(drawn, means, atol=0.05)


def test_averages_move_by_the_step_that_is_taken_and_by_no_look() -> None:
    made, learned = learning(small("ema"))
    objective, batch = learned.objectives[0], learned.batches.epoch(0)[0]
    before = {name: values.clone() for name, values in made.state_dict().items()}
    losses = objective(made, batch, Services({}, torch.Generator().manual_seed(0)))
    with torch.no_grad():
        objective(made, batch, Services({}, torch.Generator().manual_seed(0)))
    assert all(values.equal(before[name]) for name, values in made.state_dict().items())
    z = made.encoder(batch["vectors"])
    found = made.codebooks(z)
    losses["commitment"].mean.backward()
    count = torch.bincount(found.codes[:, 0], minlength=8).float()
    moved = 0.99 * 1 + 0.01 * count
    alive = moved >= 1
    assert 0 < int(alive.sum()) < 8
    torch.testing.assert_close(made.codebooks.counts[0], torch.where(alive, moved, 1.0))
    code = int(alive.nonzero()[0])
    mine = found.left[found.codes[:, 0] == code, 0].sum(0)
    torch.testing.assert_close(made.codebooks.sums[0, code], 0.99 * before["codebooks.sums"][0, code] + 0.01 * mine)
    dead = made.codebooks.vectors[0, ~alive]
    assert all(bool((z - vector).abs().sum(1).min() < 1e-3) for vector in dead), "each stands where one of the batch does"


def test_a_levels_codes_and_commitment_are_the_formulas() -> None:
    made, learned = learning(small("gradient"))
    x = learned.batches.epoch(0)[0]["vectors"]
    made.requires_grad_(False)
    losses = Quantising(crosses_rows=False)(made.eval(), {"vectors": x}, Services({}, torch.Generator()))
    left, wanted, said = made.encoder(x), 0.0, torch.zeros(())
    for vectors in made.codebooks.vectors:
        chosen_vectors = vectors[torch.cdist(left, vectors).argmin(1)]
        wanted += float((left - chosen_vectors).square().mean())
        left, said = left - chosen_vectors, said + chosen_vectors
    assert float(losses["codes"].mean) == pytest.approx(wanted, rel=1e-4)
    assert float(losses["commitment"].mean) == pytest.approx(wanted, rel=1e-4)
    assert float(losses["reconstruction"].mean) == pytest.approx(float((made.decoder(said) - x).square().mean()), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_taken_up_again_ends_in_the_same_bits(kind: Kind, tmp_path: Path) -> None:
    config = replace(small(kind), train=replace(FAST, epochs=4))
    whole, _ = trained(config)
    half, learned = learning(config)
    train(learned, replace(config.train, epochs=2), seed=0, artifacts={"item_vectors": VECTORS}, checkpoint_path=tmp_path / "run")
    again, learned = learning(config)
    done = train(learned, config.train, seed=0, artifacts={"item_vectors": VECTORS}, checkpoint_path=tmp_path / "run")
    assert done.steps == 4 * 4
    for name, values in whole.state_dict().items():
        assert values.equal(again.state_dict()[name]), name
    assert any(not values.equal(half.state_dict()[name]) for name, values in whole.state_dict().items())


def test_items_nobody_chose_before_the_cut_have_no_part_in_it() -> None:
    seen = np.arange(len(VECTORS)) % 2 == 1
    other = np.where(seen[:, None], VECTORS, 50 * VECTORS + 3)
    config = replace(small("gradient"), train=replace(FAST, epochs=2))
    mine, _ = trained(config, interactions=chosen(seen))
    theirs, _ = trained(config, interactions=chosen(seen), vectors=other)
    whole, _ = trained(config)
    assert all(values.equal(theirs.state_dict()[name]) for name, values in mine.state_dict().items())
    assert not whole.mean.equal(mine.mean), "had they counted, this test would see it"
