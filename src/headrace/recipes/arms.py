"""Retrieval arms run on one log under several splits and seeds: tuned alike, fitted, measured a user, each cell kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import component_class, settings_of
from headrace.build.graph import Graph
from headrace.contracts.config import as_dict, digest
from headrace.contracts.seams import Learner
from headrace.data import datasets
from headrace.data.holdouts import Held, Split
from headrace.data.log import Log
from headrace.data.ring import write_ring
from headrace.methods.retrieve import RETRIEVERS
from headrace.nn.seeded import seeded
from headrace.recipes.cells import Cell, Figures
from headrace.recipes.flops import with_epochs_of
from headrace.recipes.measuring import Measuring
from headrace.recipes.orders import Order, reordered
from headrace.train.trainer import train


@dataclass(frozen=True)
class Arm:
    """settings: fixed. trials: further settings tried on validation with seed 0, the best kept; every learned arm has as many.

    learned: depends on the seed, so it is run with each; a closed-form arm is run once. order: of the histories it is fitted on;
    it is asked with what was. flops: of its training; it buys as many epochs as are nearest, at least one (0: what settings say).
    """

    component: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: Sequence[Mapping[str, Any]] = ({},)
    learned: bool = False
    order: Order = "as it was"
    flops: float = 0.0


@dataclass(frozen=True)
class Retrieval:
    """Work on one log. data: a data set's name, or "ring". splits: name -> split, the claim's protocol among them.

    chosen_by: the metric validation is judged by, on `validated` of its requests, 0 for all. artifacts: of a split, what its arms
    need. measure, measure_revision: as in `Measuring`.
    """

    data: str
    arms: Mapping[str, Arm]
    splits: Mapping[str, Split]
    seeds: int
    metrics: Sequence[str]
    chosen_by: str = "ndcg@10"
    unit: str = "users"
    validated: int = 0
    artifacts: Callable[[Held], Mapping[str, Any]] | None = None
    measure: Callable[[Any, Held], Figures] | None = None
    measure_revision: int = 1

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
        measuring = Measuring(self.metrics, self.chosen_by, self.validated, self.measure, self.measure_revision)
        work = _Work(graph, held, arm, one, measuring, self.data_hash, self._artifacts(protocol, one))
        return [run_cell(work, seed) for seed in (range(self.seeds) if one.learned else [0])]

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

    def _artifacts(self, protocol: str, arm: Arm) -> Mapping[str, Any]:
        """Those that the arm's component needs."""
        needs = getattr(component_class(arm.component, RETRIEVERS, "arms"), "needs", ())
        name = f"artifacts of {protocol}"
        if needs and name not in self._opened:
            self._opened[name] = self.artifacts(self._held(protocol)) if self.artifacts else {}
        return {need: self._opened[name][need] for need in needs}

    @cached_property
    def _opened(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class _Work:
    """One arm on one split. data: the log's digest. artifacts: what the arm needs."""

    graph: Graph
    held: Held
    name: str
    arm: Arm
    measuring: Measuring
    data: str
    artifacts: Mapping[str, Any]


def run_cell(work: _Work, seed: int) -> Cell:
    tuned = _tuned(work)
    artifact = _cell(work, tuned, seed)
    arrays = load_arrays(artifact.path / "values.safetensors")
    bought = artifact.manifest.metrics.get("epochs_bought")
    said = tuned if bought is None else _merged(tuned, {"train": {"epochs": int(bought)}})
    return Cell(said, artifact.manifest.seconds, {metric: arrays[metric] for metric in work.measuring.metrics})


def _tuned(work: _Work) -> dict[str, Any]:
    tried = [_merged(work.arm.settings, trial) for trial in work.arm.trials]
    if len(tried) == 1:
        return tried[0]
    return tried[int(np.argmax([_cell(work, one, 0).manifest.metrics["valid"] for one in tried]))]


def _cell(work: _Work, values: Mapping[str, Any], seed: int) -> Artifact:
    graph, held, name, arm, measuring = work.graph, work.held, work.name, work.arm, work.measuring
    kind = component_class(arm.component, RETRIEVERS, name)
    settings = settings_of(kind, values, name)
    config = {"data": work.data, "split": held.describes, "component": arm.component, "settings": as_dict(settings),
              "seed": seed, **measuring.key, "component_revision": kind.revision}  # fmt: skip
    if arm.order != "as it was":
        config["order"] = arm.order
    if arm.flops:
        config["flops"] = arm.flops
    if work.artifacts:
        config["artifacts"] = {need: _digest_of(artifact) for need, artifact in work.artifacts.items()}
    label = f"{held.name}, {name}, seed {seed}"
    checkpoint, run = graph.checkpoint("cell", config, {}, 1)

    def make(draft: Draft) -> None:
        retriever, interactions = kind(settings, seed=seed), reordered(held.train(), arm.order, seed)
        if isinstance(retriever, Learner):
            with seeded(seed, "init", name):
                learned = retriever.learn(interactions, work.artifacts)
            how = settings.train
            if arm.flops:
                how = with_epochs_of(arm.flops, learned, how, work.artifacts)
                draft.metrics = {"epochs_bought": how.epochs}
            done = train(
                learned, how, seed=seed, name=label, run=run, validate=lambda: measuring.valid(retriever, held),
                checkpoint_path=checkpoint, progress=graph.progress, artifacts=work.artifacts,
            )  # fmt: skip
            draft.metrics |= {"epochs": done.epochs, "steps": done.steps}
        elif work.artifacts:
            retriever.fit(interactions, work.artifacts)
        else:
            retriever.fit(interactions)
        draft.metrics |= {"valid": measuring.valid(retriever, held)}
        save_arrays(draft.path / "values.safetensors", measuring.test(retriever, held))

    artifact = graph.stage("cell", make, config=config, name=label)
    checkpoint.unlink(missing_ok=True)
    return artifact


def _digest_of(artifact: Any) -> str:
    fingerprint = getattr(artifact, "fingerprint", None)
    return str(fingerprint) if fingerprint else sha256(np.ascontiguousarray(artifact).tobytes()).hexdigest()


def _merged(settings: Mapping[str, Any], trial: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's keys over the fixed ones, sections joined."""
    merged = dict(settings)
    for name, value in trial.items():
        merged[name] = {**merged.get(name, {}), **value} if isinstance(value, Mapping) else value
    return merged
