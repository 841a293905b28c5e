"""The seams hold: six methods with awkward demands plug into the trainer, the graph and the policies with no branch for them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from headrace.artifacts.store import Artifact, Store
from headrace.build.components import load_component
from headrace.build.fit import Source, fit
from headrace.build.graph import Graph
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, History, Requests, Slates
from headrace.contracts.rng import rng
from headrace.contracts.seams import (
    Balancer,
    Learned,
    Objective,
    Policy,
    PseudoLabeler,
    Retriever,
    Scorer,
    Services,
    Stored,
)  # fmt: skip
from headrace.contracts.tables import CANDIDATES
from headrace.contracts.training import TrainConfig
from headrace.data.vocabulary import Vocabulary
from headrace.methods.page.explore import Explore, ExploreConfig
from headrace.nn.seeded import seeded
from headrace.train.trainer import train
from tests.seams.fakes import (
    AfterStep,
    AnchorGenerator,
    AnchorLabeler,
    CachedAgents,
    CodesAndVectors,
    Fixed,
    Perturbed,
    PreRanker,
    TwoTasks,
    two_losses,
)  # fmt: skip

N_ITEMS = 30
TABLE = {
    "generator": "tests.seams.fakes:AnchorGenerator",
    "preranker": "tests.seams.fakes:PreRanker",
    "liger": "tests.seams.fakes:CodesAndVectors",
}


def some_history(rows: int = 40, length: int = 8) -> History:
    draw = rng(0, "history")
    offsets = np.arange(rows + 1) * length
    return History(offsets, draw.integers(1, N_ITEMS, rows * length).astype(np.int32), np.tile(np.arange(length), rows))


def some_interactions() -> Interactions:
    history = some_history()
    return Interactions(history, N_ITEMS, 100, np.ones(len(history.items), np.float32), np.arange(N_ITEMS) > 0)


def some_requests(rows: int = 40) -> Requests:
    names = np.array([f"r{row}" for row in range(rows)])
    return Requests(names, np.arange(1, rows + 1, dtype=np.int32), np.full(rows, 99), some_history(rows))


def some_candidates(rows: int = 40, width: int = 12) -> Candidates:
    draw = rng(1, "candidates")
    items = np.stack([draw.permutation(np.arange(1, N_ITEMS))[:width] for _ in range(rows)]).astype(np.int32)
    return Candidates(items, {"rank": np.sort(draw.normal(size=items.shape))[:, ::-1].astype(np.float32)})


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return Graph(Store(tmp_path / "store"))


def fitted(graph: Graph, name: str, needs: dict[str, Any] | None = None, inputs: dict[str, Artifact] | None = None) -> Artifact:
    source = Source(interactions=some_interactions, inputs=inputs or {}, window={}, needs=lambda: needs or {})
    return fit(graph, "fake", name, {}, TABLE, source, seed=0, where="test")


def test_gpl_is_two_learned_things_in_the_graph(graph):
    """Phase 2 reads phase 1 as an artifact; changing phase 1 changes phase 2's key; what is deployed has the plain form."""
    first = fitted(graph, "generator")
    generator = load_component(first, TABLE)
    assert isinstance(AnchorLabeler(generator), PseudoLabeler)
    needs = {"anchors": generator, "requests": some_requests(), "unshown": some_candidates()}
    second = fitted(graph, "preranker", needs, {"anchors": first})
    assert second.manifest.parents == {"anchors": first.key}
    assert [m.kind for m in graph.store.lineage(second.key)] == ["fake", "fake"]
    assert isinstance(load_component(second, TABLE), Scorer)
    scorer: Stored = load_component(second, TABLE)
    assert set(scorer.arrays()) == {"items.weight"}, "pseudo-labels add nothing to what is served"
    assert fitted(graph, "preranker", needs, {"anchors": first}).key == second.key
    assert graph.made == ["fake generator", "fake preranker"]
    again = Graph(graph.store)
    assert fitted(again, "preranker", needs, {"anchors": first}).key == second.key
    assert (again.made, again.reused) == ([], ["fake preranker"])


def test_gpl_follows_the_pseudo_labels():
    """Joint training moves the scorer toward the labeler: the loss is really the weighted soft-label one."""
    generator = AnchorGenerator(AnchorGenerator.Config(), seed=0)
    with seeded(0, "anchors"):
        generator.make(N_ITEMS)
    requests, unshown = some_requests(), some_candidates()
    scorer = PreRanker(PreRanker.Config(), seed=0)
    with seeded(0, "scorer"):
        learned = scorer.learn(some_interactions(), {"anchors": generator, "requests": requests, "unshown": unshown})
    artifacts = {"anchors": generator, "requests": requests, "unshown": unshown}
    done = train(learned, TrainConfig(epochs=30, learning_rate=0.05), seed=0, artifacts=artifacts)
    label = AnchorLabeler(generator).label(requests, unshown).label
    batch = {
        "past": torch.from_numpy(requests.history.last(2).astype(np.int64)),
        "items": torch.from_numpy(unshown.items.astype(np.int64)),
    }
    predicted = torch.sigmoid(scorer.score(scorer.user(batch), batch).logits["click"]).detach().numpy()
    assert np.corrcoef(predicted.ravel(), label.ravel())[0, 1] > 0.9
    assert done.curve[-1]["pseudo"] < done.curve[0]["pseudo"]


def test_hisac_state_is_made_once_and_read_by_every_candidate():
    with seeded(0, "agents"):
        scorer = CachedAgents(torch.arange(N_ITEMS) % 7, N_ITEMS)
    assert isinstance(scorer, Scorer)
    history = torch.from_numpy(some_requests(5).history.last(6).astype(np.int64))
    state = scorer.user({"history": history})
    assert state["agents"].shape == (5, CachedAgents.agents, 8)
    # Through a cache: only the state's bytes are left of the user.
    cached = {name: torch.from_numpy(value.detach().numpy().copy()) for name, value in state.items()}
    items = torch.from_numpy(some_candidates(5).items.astype(np.int64))
    whole = scorer.score(cached, {"items": items}).logits["click"]
    one_by_one = torch.stack(
        [
            scorer.score(scorer.user({"history": history}), {"items": items[:, c : c + 1]}).logits["click"][:, 0]
            for c in range(12)
        ],
        1,
    )
    torch.testing.assert_close(whole, one_by_one)


def test_hisac_state_follows_a_new_event_and_ignores_what_the_sketch_leaves_out():
    with seeded(0, "agents"):
        scorer = CachedAgents(torch.arange(N_ITEMS) % 7, N_ITEMS)
    before = scorer.user({"history": torch.tensor([[1, 2, 3, 8, 15, 0]])})["agents"]
    after = scorer.user({"history": torch.tensor([[1, 2, 3, 8, 15, 22]])})["agents"]
    assert not torch.equal(before, after)


def some_tasks() -> Fixed:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=draw)
    return Fixed({"x": x, "y": torch.stack([x[:, 0], 100 * x[:, 1]], 1)}, 16, 0)


def two_tasks() -> Learned:
    with seeded(0, "two tasks"):
        return Learned(TwoTasks(), [two_losses], some_tasks())


def test_marigold_sees_the_same_step_again():
    """Before the step, reevaluate gives the very losses (same batch, same dropout); after it, others; and λ has moved."""
    balancer = AfterStep(rate=0.01)
    assert isinstance(balancer, Balancer)
    train(two_tasks(), TrainConfig(epochs=1), seed=0, balancer=balancer)
    assert balancer.unmoved == balancer.before
    assert sum(balancer.weights.values()) == pytest.approx(1)
    assert balancer.weights["click"] != pytest.approx(0.5, abs=1e-6)


def test_marigold_resumes_with_its_weights(tmp_path):
    whole, half, rest = AfterStep(), AfterStep(), AfterStep()
    trained = two_tasks()
    train(trained, TrainConfig(epochs=4), seed=0, balancer=whole)
    path = tmp_path / "checkpoint.safetensors"
    train(two_tasks(), TrainConfig(epochs=2), seed=0, balancer=half, checkpoint_path=path)
    again = two_tasks()
    train(again, TrainConfig(epochs=4), seed=0, balancer=rest, checkpoint_path=path)
    assert rest.weights == whole.weights
    for a, b in zip(trained.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_balancer_that_cannot_accumulate_is_refused_by_name():
    with pytest.raises(ConfigError, match="AfterStep can't accumulate"):
        train(two_tasks(), TrainConfig(accumulate=2), seed=0, balancer=AfterStep())


def test_the_shared_representation_reaches_the_balancer():
    seen = []

    class Looks(AfterStep):
        def backward(self, losses, shared, reevaluate):
            seen.append(shared)
            return super().backward(losses, shared, reevaluate)

    train(two_tasks(), TrainConfig(epochs=1), seed=0, balancer=Looks())
    assert all(shared is not None and shared.requires_grad for shared in seen)


def linear() -> Learned:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=draw)
    with seeded(0, "linear"):
        return Learned(nn.Linear(4, 1), [Perturbed()], Fixed({"x": x, "y": (x[:, 0] > 0).float()}, 16, 0))


def test_lspr_runs_two_forwards_on_the_steps_own_noise():
    learned = linear()
    assert isinstance(learned.objectives[0], Objective)
    batch = learned.batches.epoch(0)[0]
    losses = []
    for _ in range(2):
        services = Services({}, torch.Generator().manual_seed(7))
        losses.append(learned.objectives[0](learned.module, batch, services)["click"])
    assert torch.equal(losses[0].mean, losses[1].mean), "the same step draws the same noise"
    other = learned.objectives[0](learned.module, batch, Services({}, torch.Generator().manual_seed(8)))["click"]
    assert not torch.equal(losses[0].mean, other.mean)
    mixed = 0.7 * losses[0].metrics["clean"] + 0.3 * losses[0].metrics["perturbed"]
    assert float(losses[0].mean.detach()) == pytest.approx(mixed, abs=1e-6)


def test_lspr_trains_to_the_same_bits_twice():
    first, second = linear(), linear()
    for learned in (first, second):
        train(learned, TrainConfig(epochs=3), seed=0)
    assert torch.equal(*(torch.cat([p.flatten() for p in learned.module.parameters()]) for learned in (first, second)))


def test_liger_needs_its_artifacts(graph):
    with pytest.raises(KeyError, match="semantic_ids"):
        fitted(graph, "liger")
    assert not list((graph.store.root / "fake").glob("*")), "nothing half-made is left"


def test_the_trainer_refuses_a_missing_artifact_by_name():
    learned = linear()
    wanting = Learned(learned.module, learned.objectives, learned.batches, needs=("semantic_ids",))
    with pytest.raises(ConfigError, match="needs the artifacts semantic_ids"):
        train(wanting, TrainConfig(), seed=0, artifacts={"vectors": 1})


def test_liger_trains_and_retrieves_from_artifacts(graph):
    draw = rng(2, "vectors")
    needs = {"semantic_ids": np.arange(N_ITEMS) % 5, "item_vectors": draw.normal(size=(N_ITEMS, 4)).astype(np.float32)}
    made = TABLE | {"liger": "tests.seams.fakes:CodesAndVectors"}
    source = Source(interactions=some_interactions, inputs={}, window={}, needs=lambda: needs)

    class Kept(CodesAndVectors):
        pass

    learner = Kept(Kept.Config(), seed=0)
    with seeded(0, "liger"):
        learned = learner.learn(some_interactions(), needs)
    done = train(learned, TrainConfig(epochs=5, learning_rate=0.05), seed=0, artifacts=needs)
    assert {"code", "dense"} <= done.curve[-1].keys()
    assert done.curve[-1]["dense"] < done.curve[0]["dense"]
    assert isinstance(learner, Retriever)
    found = learner.retrieve(some_requests(), 5, Allowed())
    assert found.items.shape == (40, 5)
    assert (found.items > 0).all()
    assert fit(graph, "fake", "liger", {}, made, source, seed=0, where="test").manifest.metrics["steps"] > 0


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_off_policy_log_prob_of_a_logged_slate_is_what_was_logged(temperature, tmp_path):
    """Through the project's own candidates table: written as Parquet, read back in another order, judged again."""
    page = Explore(ExploreConfig(slots=4, temperature=temperature, epsilon=0.1), policy_id="p1")
    assert isinstance(page, Policy)
    requests, candidates = some_requests(), some_candidates()
    shown = page.act(requests, candidates, seed=3)
    path = tmp_path / "candidates.parquet"
    write_log(requests, candidates, shown).write_parquet(path)

    logged = pl.read_parquet(path).sample(fraction=1.0, shuffle=True, seed=1)
    slates, propensity = read_slates(requests, logged, slots=4)
    assert np.array_equal(slates.items, shown.items)
    again = page.log_prob(requests, slates, candidates)
    np.testing.assert_allclose(np.exp(again), propensity, rtol=1e-12)


def test_off_policy_estimate_of_another_policy_is_unbiased():
    """Inverse propensity on first-slot rewards, many draws: the value of a policy that was never run."""
    logger = Explore(ExploreConfig(slots=1, temperature=1.0, epsilon=0.2), policy_id="logger")
    target = Explore(ExploreConfig(slots=1, temperature=0.3, epsilon=0.0), policy_id="target")
    base_requests, base = some_requests(1), some_candidates(1)
    rows = np.zeros(20_000, np.int64)
    candidates = base.take(rows)
    requests = Requests(np.arange(len(rows)).astype(np.str_), base_requests.users[rows], base_requests.at_us[rows],
                        base_requests.history.take(rows))  # fmt: skip
    slates = logger.act(requests, candidates, seed=0)
    reward = (slates.items[:, 0] % 3).astype(np.float64)
    weight = np.exp(target.log_prob(requests, slates, candidates)[:, 0] - slates.log_prob[:, 0])
    estimate, error = (weight * reward).mean(), (weight * reward).std() / np.sqrt(len(rows))
    score = base.scores["rank"][0].astype(np.float64)
    chance = np.exp((score - score.max()) / 0.3)
    truth = (chance / chance.sum()) @ (base.items[0] % 3)
    assert abs(estimate - truth) < 4 * error  # four standard errors: a false alarm once in 16,000 seeds
    assert error < 0.05


def write_log(requests: Requests, candidates: Candidates, shown: Slates) -> pl.DataFrame:
    items = Vocabulary([f"i{number}" for number in range(1, N_ITEMS)])
    rows, places = np.nonzero(candidates.there)
    position = np.full(candidates.items.shape, -1)
    match = candidates.items[:, :, None] == shown.items[:, None, :]
    position[match.any(2)] = match.argmax(2)[match.any(2)]
    propensity = np.where(position >= 0, np.take_along_axis(shown.propensity, np.maximum(position, 0), 1), np.nan)
    frame = pl.DataFrame({
        "request_id": requests.ids[rows], "item_id": items.decode(candidates.items[rows, places]),
        "position": position[rows, places], "propensity": propensity[rows, places],
    }).with_columns(
        stage=pl.when(pl.col("position") >= 0).then(pl.lit("shown")).otherwise(pl.lit("recalled")), logged_p=pl.lit(1.0),
        scores=pl.lit(None),
    )  # fmt: skip
    return frame.select(pl.col(column.name).cast(column.dtype) for column in CANDIDATES.columns)


def read_slates(requests: Requests, logged: pl.DataFrame, slots: int) -> tuple[Slates, np.ndarray]:
    items = Vocabulary([f"i{number}" for number in range(1, N_ITEMS)])
    shown = logged.filter(pl.col("stage") == "shown")
    order = {name: row for row, name in enumerate(requests.ids.tolist())}
    rows, slot = shown["request_id"].replace_strict(order).to_numpy(), shown["position"].to_numpy()
    numbers, propensity = np.zeros((len(requests), slots), np.int32), np.ones((len(requests), slots))
    numbers[rows, slot], propensity[rows, slot] = items.encode(shown["item_id"]), shown["propensity"].to_numpy()
    return Slates(numbers, np.log(propensity), "p1", False), propensity
