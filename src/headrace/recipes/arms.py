"""Retrieval arms run on one log under several splits and seeds: tuned alike, fitted, measured a user, each cell kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import component_class, settings_of
from headrace.build.graph import Graph
from headrace.contracts.config import as_dict, digest
from headrace.contracts.requests import Allowed
from headrace.contracts.seams import Learner
from headrace.data import datasets
from headrace.data.holdouts import Held, Split
from headrace.data.log import Log
from headrace.data.ring import write_ring
from headrace.evaluate.bootstrap import by_user
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure
from headrace.methods.retrieve import RETRIEVERS
from headrace.nn.seeded import seeded
from headrace.recipes.cells import Cell
from headrace.train.trainer import train

_AT_ONCE = 512


@dataclass(frozen=True)
class Arm:
    """settings: fixed. trials: further settings tried on validation with seed 0, the best kept; every learned arm has as many.

    learned: depends on the seed, so it is run with each; a closed-form arm is run once.
    """

    component: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: Sequence[Mapping[str, Any]] = ({},)
    learned: bool = False


@dataclass(frozen=True)
class Retrieval:
    """Work on one log. data: a data set's name, or "ring". splits: name -> split, the claim's protocol among them.

    chosen_by: the metric validation is judged by.
    """

    data: str
    arms: Mapping[str, Arm]
    splits: Mapping[str, Split]
    seeds: int
    metrics: Sequence[str]
    chosen_by: str = "ndcg@10"
    unit: str = "users"

    @property
    def protocols(self) -> Sequence[str]:
        return tuple(self.splits)

    @cached_property
    def data_hash(self) -> str:
        events = self._log.store.events
        parts = (events.offsets, events.items, events.at_us)
        return digest([sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for part in parts])[:16]

    def says(self, protocol: str) -> str:
        return self._held(protocol).describes

    def cells(self, graph: Graph, protocol: str, arm: str) -> list[Cell]:
        one, held = self.arms[arm], self._held(protocol)
        same: dict[str, Any] = {"metrics": self.metrics, "data": self.data_hash, "chosen_by": self.chosen_by}
        return [run_cell(graph, held, arm, one, seed=seed, **same) for seed in (range(self.seeds) if one.learned else [0])]

    def open(self, folder: Path) -> None:
        tables = datasets.get(self.data) if self.data != "ring" else folder / "ring"
        if self.data == "ring":
            tables.mkdir(parents=True, exist_ok=True)
            write_ring(tables, users=60, steps=10, items=20)
        self._opened["log"] = Log.from_tables(tables)

    @property
    def _log(self) -> Log:
        return cast(Log, self._opened["log"])

    def _held(self, protocol: str) -> Held:
        if protocol not in self._opened:
            self._opened[protocol] = self.splits[protocol].of(self._log)
        return cast(Held, self._opened[protocol])

    @cached_property
    def _opened(self) -> dict[str, Any]:
        return {}


def run_cell(
    graph: Graph, held: Held, name: str, arm: Arm, *, seed: int, metrics: Sequence[str], data: str, chosen_by: str
) -> Cell:
    """data: the log's digest."""
    tuned = _tuned(graph, held, name, arm, metrics=metrics, data=data, chosen_by=chosen_by)
    artifact = _cell(graph, held, name, arm.component, tuned, seed=seed, metrics=metrics, data=data, chosen_by=chosen_by)
    arrays = load_arrays(artifact.path / "values.safetensors")
    return Cell(tuned, artifact.manifest.seconds, {metric: arrays[metric] for metric in metrics})


def _tuned(graph: Graph, held: Held, name: str, arm: Arm, *, metrics: Sequence[str], data: str, chosen_by: str) -> dict[str, Any]:
    tried = [_merged(arm.settings, trial) for trial in arm.trials]
    if len(tried) == 1:
        return tried[0]
    same: dict[str, Any] = {"seed": 0, "metrics": metrics, "data": data, "chosen_by": chosen_by}
    cells = [_cell(graph, held, name, arm.component, one, **same) for one in tried]
    return tried[int(np.argmax([cell.manifest.metrics["valid"] for cell in cells]))]


def _cell(
    graph: Graph, held: Held, name: str, component: str, values: Mapping[str, Any], *,
    seed: int, metrics: Sequence[str], data: str, chosen_by: str,
) -> Artifact:  # fmt: skip
    kind = component_class(component, RETRIEVERS, name)
    settings = settings_of(kind, values, name)
    config = {"data": data, "split": held.describes, "component": component, "settings": as_dict(settings), "seed": seed,
              "metrics": list(metrics), "chosen_by": chosen_by, "component_revision": kind.revision}  # fmt: skip
    label = f"{held.name}, {name}, seed {seed}"
    checkpoint, run = graph.checkpoint("cell", config, {}, 1)

    def make(draft: Draft) -> None:
        retriever, interactions = kind(settings, seed=seed), held.train()

        def valid() -> float:
            return float(_measured(retriever, held, held.valid(), [chosen_by])[chosen_by].mean())

        if isinstance(retriever, Learner):
            with seeded(seed, "init", name):
                learned = retriever.learn(interactions, {})
            done = train(
                learned, settings.train, seed=seed, name=label, run=run, validate=valid, checkpoint_path=checkpoint,
                progress=graph.progress,
            )  # fmt: skip
            draft.metrics = {"epochs": done.epochs, "steps": done.steps}
        else:
            retriever.fit(interactions)
        draft.metrics |= {"valid": valid()}
        save_arrays(draft.path / "values.safetensors", _measured(retriever, held, held.test(), metrics))

    artifact = graph.stage("cell", make, config=config, name=label)
    checkpoint.unlink(missing_ok=True)
    return artifact


def _measured(retriever: Any, held: Held, asked: Any, metrics: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Full catalogue, seen items removed, averaged inside a user."""
    requests, answers = asked
    wanted = max(int(metric.split("@")[1]) for metric in metrics)
    items = np.zeros((len(requests), wanted), np.int32)
    for rows, part in requests.chunks(_AT_ONCE):
        found = retriever.retrieve(part, wanted, Allowed(None, part.history)).items
        items[rows, : found.shape[1]] = found
    relevant = Relevant.from_pairs(answers.rows(), answers.items, len(requests))
    measured = measure(RankedLists(requests.users, items), relevant, metrics)
    return {metric: by_user(requests.users, values[:, None])[1][:, 0] for metric, values in measured.items()}


def _merged(settings: Mapping[str, Any], trial: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's keys over the fixed ones, sections joined."""
    merged = dict(settings)
    for name, value in trial.items():
        merged[name] = {**merged.get(name, {}), **value} if isinstance(value, Mapping) else value
    return merged
