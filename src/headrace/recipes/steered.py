"""Models asked the five questions of preference discerning, on one log: fitted once a seed, each answer measured a user.

Whoever has no preference before their test step is in none of the figures, so axes can be compared on the users they share. Lists
are of the full catalogue, less what the history holds, unless that is the target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Draft
from headrace.build.components import component_class, settings_of
from headrace.build.graph import Graph
from headrace.contracts.config import as_dict, digest
from headrace.contracts.requests import Allowed, Bool, Candidates, Float32, History, Int32, Requests
from headrace.contracts.seams import Learner
from headrace.data.preference_axes import Samples
from headrace.evaluate.bootstrap import by_user
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure
from headrace.evaluate.steering import combined_hit
from headrace.methods.retrieve import RETRIEVERS
from headrace.methods.retrieve.mender import FEATURE
from headrace.nn.seeded import seeded
from headrace.nn.topk import top_k
from headrace.recipes.cells import Cell, Figures
from headrace.recipes.discerning import AXES, Opened, opened
from headrace.train.trainer import train

RANKING = ("recall@5", "recall@10", "ndcg@5", "ndcg@10")
COMBINED = ("m@5", "m@10")
_DEPTH, _AT_ONCE = 10, 256
_LIKENESS = "nearest"


@dataclass(frozen=True)
class Steerable:
    """component: a retriever's name, or "nearest": items by likeness to the preference, no model. asks: whether it is told the
    preference. signed: reads what instructions are about and their polarity; else the words as they were said."""

    component: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    asks: bool = True
    signed: bool = False


@dataclass(frozen=True)
class Bar:
    """Another arm's figure, of another axis where `axis` says so, times a factor: what a claim is held against."""

    of: str
    axis: str | None = None
    times: float = 1.0


@dataclass(frozen=True)
class Steered:
    """Implements `Work`; its protocols are the axes. write: puts the log's tables into a folder. codes: symbols a level."""

    data: str
    arms: Mapping[str, Steerable | Bar]
    write: Callable[[Path], None]
    seeds: int
    codes: int
    dim: int
    metrics: Sequence[str] = (*RANKING, *COMBINED)
    protocols: Sequence[str] = AXES
    unit: str = "users"
    revision: int = 1
    _folder: dict[str, Path] = field(default_factory=dict)

    def open(self, folder: Path) -> None:
        tables = folder / self.data
        if not (tables / "users.parquet").is_file():
            tables.mkdir(parents=True, exist_ok=True)
            self.write(tables)
        self._folder["tables"] = tables

    @cached_property
    def data_hash(self) -> str:
        events = self._opened.held.log.store.events
        parts = (events.offsets, events.items, events.at_us, self._opened.vectors)
        return digest([sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for part in parts])[:16]

    def says(self, protocol: str) -> str:
        """With how much of what is asked was heard in training (spec: seen and unseen preferences)."""
        opened, samples = self._opened, self._opened.asked[protocol][-1]
        preferences, train = opened.wishes[False].preferences, opened.held.train().history
        heard = preferences.as_of(train.rows().astype(np.int32), train.at_us)
        places = samples.preference[samples.preference >= 0]
        return (
            f"leave-last, full catalogue, seen items but the target removed; {len(samples)} samples, "
            f"{np.isin(places, heard).mean():.0%} of their preferences somebody's own in training; templates"
        )

    def cells(self, graph: Graph, protocol: str, arm: str) -> list[Cell]:
        one = self.arms[arm]
        if isinstance(one, Bar):
            base = self.arms[one.of]
            assert isinstance(base, Steerable)
            cells = self._ran(graph, one.of, base)
            return [self._cell(found, one.axis or protocol, protocol, 0.0, {}, one.times) for found, _ in cells]
        return [
            self._cell(found, protocol, protocol, seconds if protocol == AXES[0] else 0.0, one.settings)
            for found, seconds in self._ran(graph, arm, one)
        ]

    @cached_property
    def _opened(self) -> Opened:
        return opened(self._folder["tables"], codes=self.codes, dim=self.dim)

    @cached_property
    def _users(self) -> Mapping[str, Int32]:
        """Of each axis, those that axis 1 has as well."""
        asked = {axis: np.unique(samples[-1].users) for axis, samples in self._opened.asked.items()}
        return {axis: np.intersect1d(users, asked[AXES[0]]) for axis, users in asked.items()}

    def _cell(
        self, found: Figures, axis: str, protocol: str, seconds: float, settings: Mapping[str, Any], times: float = 1.0
    ) -> Cell:
        """The figures of one axis on the users of another."""
        users, wanted = found[f"{axis}/users"], self._users[protocol]
        rows = np.searchsorted(users, wanted)
        there = rows < len(users)
        there[there] = users[rows[there]] == wanted[there]
        values = {
            metric: np.where(there, found[f"{axis}/{metric}"][np.minimum(rows, len(users) - 1)], 0.0) * times
            for metric in self.metrics
            if f"{axis}/{metric}" in found
        }
        return Cell(dict(settings), seconds, values)

    def _ran(self, graph: Graph, name: str, arm: Steerable) -> list[tuple[Figures, float]]:
        learned = arm.component != _LIKENESS
        return [self._one(graph, name, arm, seed) for seed in (range(self.seeds) if learned else [0])]

    def _one(self, graph: Graph, name: str, arm: Steerable, seed: int) -> tuple[Figures, float]:
        config = {"data": self.data, "data_hash": self.data_hash, "arm": {**vars(arm), "settings": dict(arm.settings)},
                  "codes": self.codes, "seed": seed}  # fmt: skip
        kind = None if arm.component == _LIKENESS else component_class(arm.component, RETRIEVERS, name)
        settings: Any = None
        if kind is not None:
            settings = settings_of(kind, arm.settings, name)
            config |= {"settings": as_dict(settings), "component_revision": kind.revision}
        label = f"{name}, seed {seed}"
        checkpoint, run = graph.checkpoint("steered", config, {}, self.revision)

        def make(draft: Draft) -> None:
            made, wishes = self._opened, self._opened.wishes[arm.signed]
            model: Any = Nearest(made.vectors, made.held.train().item_counts() > 0, signed=arm.signed)
            if kind is not None:
                model = kind(settings, seed=seed)
                artifacts = {**made.artifacts, "preferences": wishes}
                needs = {need: artifacts[need] for need in kind.needs}
                assert isinstance(model, Learner)
                with seeded(seed, "init", name):
                    learned = model.learn(made.held.train(), needs)
                done = train(
                    learned, settings.train, seed=seed, name=label, run=run, checkpoint_path=checkpoint, artifacts=needs,
                    progress=graph.progress,
                )  # fmt: skip
                draft.metrics = {"epochs": done.epochs, "steps": done.steps}
            slots = wishes.pool.slots if arm.asks else None
            found = {axis: answered(model, samples, slots) for axis, samples in made.asked.items()}
            save_arrays(draft.path / "values.safetensors", {f"{a}/{m}": v for a, of in found.items() for m, v in of.items()})

        artifact = graph.stage("steered", make, config=config, revision=self.revision, name=label)
        checkpoint.unlink(missing_ok=True)
        return load_arrays(artifact.path / "values.safetensors"), artifact.manifest.seconds


class Nearest:
    """A `Retriever` without a model: items by the inner product with what is wanted, less that with what is to be avoided where
    polarity is heard. items [n_items]: those it may propose."""

    def __init__(self, vectors: Float32, items: Bool, *, signed: bool):
        self.vectors, self.items, self.signed = vectors, items, signed

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        asked = requests.features[FEATURE]
        sign = asked[..., -1:] if self.signed else np.abs(asked[..., -1:])
        scores = (asked[..., :-1] * sign).sum(1) @ self.vectors.T
        scores[:, ~self.items] = -np.inf
        return top_k(allowed.mask(scores.astype(np.float32)), k, _LIKENESS)


def answered(model: Any, asked: tuple[Samples, ...], slots: Float32 | None) -> dict[str, Any]:
    """metric -> a value a user, and "users". asked: one set, or what is to be avoided and then what is to be found."""
    lists = [_lists(model, samples, slots) for samples in asked]
    samples = asked[-1]
    relevant = Relevant.from_pairs(np.arange(len(samples)), samples.items, len(samples))
    values = dict(measure(lists[-1], relevant, RANKING))
    if len(asked) == 2:
        values |= {f"m@{k}": combined_hit(lists[1], lists[0], relevant, k) for k in (5, 10)}
    users, means = by_user(samples.users, np.stack(list(values.values()), 1))
    return {"users": users, **{name: means[:, place].copy() for place, name in enumerate(values)}}


def _lists(model: Any, samples: Samples, slots: Float32 | None) -> RankedLists:
    """The full catalogue, what the history holds removed, unless it is the target."""
    items, history = np.zeros((len(samples), _DEPTH), np.int32), samples.history
    features = {}
    if slots is not None:
        padded = np.concatenate([slots, np.zeros_like(slots[:1])])
        features = {FEATURE: padded[samples.preference]}
    names = np.array([str(row) for row in range(len(samples))])
    requests = Requests(names, samples.users, np.zeros(len(samples), np.int64), history, features)
    for rows, part in requests.chunks(_AT_ONCE):
        blocked = _without(part.history, samples.items[rows])
        found = model.retrieve(part, _DEPTH, Allowed(None, blocked)).items
        items[rows, : found.shape[1]] = found
    return RankedLists(samples.users, items)


def _without(history: History, items: Int32) -> History:
    kept = history.items != items[history.rows()]
    counts = np.bincount(history.rows()[kept], minlength=len(history))
    return History(np.concatenate([[0], np.cumsum(counts)]), history.items[kept], history.at_us[kept])
