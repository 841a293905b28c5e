"""Rows to learn several tasks from, for recipes of balancers: Census-Income, impressions of a made-up world, a made-up table.

    problem = problem_of("census", sizes, seed)
    learned = problem.learned(seed)                    a shared bottom, its objective and its batches
    problem.tested(learned.module)                     Pairs: what it predicts, and what is true

Sizes are the census protocol's of multi-task papers: one embedding of 8 a field, a bottom of 128, heads of 32. In the world the
ranker `shared_bottom` stands as it is in a cascade.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Protocol

import numpy as np
from annotated_types import Gt

from headrace.cascade.validation import all_logits_for, probabilities
from headrace.contracts.config import config
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float64, Int64
from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.methods.rank.shared_bottom import SharedBottom, SharedBottomConfig
from headrace.nn.seeded import seeded
from headrace.objectives.tasks import TaskChoices
from headrace.recipes.logs.exposure import TASKS as WORLD_TASKS
from headrace.recipes.logs.exposure import ExposureConfig, lived
from headrace.recipes.logs.lists_of_days import joined
from headrace.recipes.rows.census import TASKS as CENSUS_TASKS
from headrace.recipes.rows.census import census
from headrace.recipes.rows.shared_bottom import FlatSharedBottom, chances
from headrace.recipes.rows.table import TableBatches, Tables, coded
from headrace.world.settings import DAY_US


@config
class ProblemConfig:
    """rows: of census, all that validation leaves if None; 0: a made-up table. epochs: of census and of the world.

    valid_days: the newest of the world's window, which with the day after it say which epoch is kept.
    """

    rows: int | None = None
    exposure: ExposureConfig = ExposureConfig(window_days=24, test_days=4)
    valid_days: Annotated[int, Gt(0)] = 4
    dim: Annotated[int, Gt(0)] = 8
    bottom: tuple[int, ...] = (128,)
    hidden: tuple[int, ...] = (32,)
    batch: Annotated[int, Gt(0)] = 1024
    requests: Annotated[int, Gt(0)] = 64
    """A step, in the world: of 4 impressions each."""
    epochs: tuple[int, int] = (4, 4)
    blocks: Annotated[int, Gt(1)] = 200


@dataclass(frozen=True)
class Pairs:
    """What was predicted of rows and what is true of them: task -> [N] in [0, 1]. block [N]: of which block a row is."""

    predicted: Mapping[str, Float64]
    true: Mapping[str, Float64]
    block: Int64


class Problem(Protocol):
    """Rows to learn several tasks from."""

    @property
    def tasks(self) -> Sequence[str]: ...
    @property
    def train(self) -> TrainConfig: ...
    @property
    def artifacts(self) -> Mapping[str, Any]: ...
    def learned(self, seed: int) -> Learned: ...
    def validated(self, model: Any) -> Pairs: ...
    def tested(self, model: Any) -> Pairs: ...


def problem_of(data: str, sizes: ProblemConfig, seed: int) -> Problem:
    """data: "census" or "world"."""
    return _census(sizes, seed) if data == "census" else _world(sizes, seed)


@dataclass(frozen=True)
class _Census:
    """Rows of a plain table, through the body alone."""

    sizes: ProblemConfig
    read: Tables
    tasks: Sequence[str] = CENSUS_TASKS
    artifacts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def train(self) -> TrainConfig:
        epochs = self.sizes.epochs[0]
        return TrainConfig(epochs=epochs, patience=epochs, clip_norm=0.0, device="cpu")

    def learned(self, seed: int) -> Learned:
        of = self.sizes
        with seeded(seed, "balancing"):
            model = FlatSharedBottom(self.read.sizes, self.tasks, dim=of.dim, bottom=of.bottom, hidden=of.hidden)
        return Learned(model, [TaskChoices(self.tasks)], TableBatches(self.read.train, of.batch, seed=seed))

    def validated(self, model: Any) -> Pairs:
        return self._pairs(model, "valid")

    def tested(self, model: Any) -> Pairs:
        return self._pairs(model, "test")

    def _pairs(self, model: Any, part: str) -> Pairs:
        table = getattr(self.read, part)
        true = {task: table.labels[task].astype(np.float64) for task in self.tasks}
        return Pairs(chances(model, table.codes), true, np.arange(len(table)) * self.sizes.blocks // len(table))


@dataclass(frozen=True)
class _World:
    """The ranker as it is, on candidate lists of impressions. test: lists, and the true chances of their candidates."""

    sizes: ProblemConfig
    interactions: Any
    artifacts: Mapping[str, Any]
    valid: CandidateLists
    test: CandidateLists
    chance: Mapping[str, Float64]
    tasks: Sequence[str] = WORLD_TASKS

    @property
    def train(self) -> TrainConfig:
        epochs = self.sizes.epochs[1]
        return TrainConfig(epochs=epochs, patience=epochs, clip_norm=0.0, weight_decay=1e-4, device="cpu")

    def learned(self, seed: int) -> Learned:
        of = self.sizes
        settings = SharedBottomConfig(bottom=of.bottom, hidden=of.hidden, batch_size=of.requests)
        with seeded(seed, "balancing"):
            return SharedBottom(settings, seed=seed).learn(self.interactions, self.artifacts)

    def validated(self, model: Any) -> Pairs:
        return self._pairs(model, self.valid, self.valid.tasks)

    def tested(self, model: Any) -> Pairs:
        return self._pairs(model, self.test, self.chance)

    def _pairs(self, model: Any, lists: CandidateLists, true: Mapping[str, Any]) -> Pairs:
        model.eval()
        logits, there = all_logits_for(model, lists), lists.candidates.there
        block = np.broadcast_to((lists.requests.users.astype(np.int64) % self.sizes.blocks)[:, None], there.shape)
        return Pairs(
            {task: probabilities(logits[task][there]) for task in self.tasks},
            {task: np.asarray(true[task], np.float64)[there] for task in self.tasks},
            block[there],
        )


@lru_cache(maxsize=2)
def _census(sizes: ProblemConfig, seed: int) -> _Census:
    return _Census(sizes, census(rows=sizes.rows, seed=seed) if sizes.rows != 0 else made_up(seed))


@lru_cache(maxsize=5)
def _world(sizes: ProblemConfig, seed: int) -> _World:
    """Of the log only what is read here: what was recalled is fifty times as much."""
    log = lived(sizes.exposure, seed)
    shown = log.shown
    test = CandidateLists(shown.requests, shown.candidates, np.zeros(shown.candidates.items.shape, np.float32))
    at_us, whole = log.impressions.requests.at_us, log.impressions
    newest = at_us >= log.held.requests.at_us.min() // DAY_US * DAY_US - sizes.valid_days * DAY_US
    learned, valid = whole.take(np.flatnonzero(~newest)), joined([whole.take(np.flatnonzero(newest)), log.held])
    return _World(sizes, log.interactions, log.artifacts(learned), valid, test, shown.chance)


def made_up(seed: int) -> Tables:
    """A table of census's tasks for smoke runs: 6 fields, of which each task hangs on two."""
    draw = rng(seed, "made-up table")
    codes = draw.integers(0, 4, (1200, 6))
    logits = {task: codes[:, at] - codes[:, at + 1] - (1.5 if at == 0 else 0.0) for at, task in enumerate(CENSUS_TASKS)}
    labels = {task: (draw.random(len(codes)) < probabilities(value)).astype(np.float32) for task, value in logits.items()}
    rows = np.split(np.arange(len(codes)), [600, 800])
    columns: Any = {f"field {at}": codes[:, at] for at in range(6)}
    return coded(columns, labels, np.zeros(len(codes), np.int64), train=rows[0], valid=rows[1], test=rows[2])
