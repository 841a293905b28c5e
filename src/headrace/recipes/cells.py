"""What a recipe measures, in cells of (protocol, arm, seed). A cell is an artifact: a reproduction that is stopped goes on.

`arms.Retrieval` makes its cells from a log; `Simulated` from a function that knows the truth it is measured against.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Draft
from headrace.build.graph import Graph
from headrace.contracts.config import digest

Figures = Mapping[str, NDArray[np.float64]]
"""metric -> a value a unit, [units]."""


@dataclass(frozen=True)
class Cell:
    """values: metric -> one a unit, [units], in the same order for every arm. seconds: what working it out took, whenever."""

    settings: dict[str, Any]
    seconds: float
    values: Figures


class Work(Protocol):
    """What one budget of a recipe runs. An arm that does not depend on the seed has one cell, which stands for every seed.

    unit: what `values` has one of, "users" or "runs". open: called once, first; folder: where data that is made may be put.
    """

    @property
    def data(self) -> str: ...
    @property
    def data_hash(self) -> str: ...
    @property
    def arms(self) -> Mapping[str, Any]: ...
    @property
    def protocols(self) -> Sequence[str]: ...
    @property
    def seeds(self) -> int: ...
    @property
    def metrics(self) -> Sequence[str]: ...
    @property
    def unit(self) -> str: ...
    def open(self, folder: Path) -> None: ...
    def says(self, protocol: str) -> str: ...
    def cells(self, graph: Graph, protocol: str, arm: str) -> list[Cell]: ...


@dataclass(frozen=True)
class Simulated:
    """run(settings of the protocol, settings of the arm, seed) -> figures. One call is one run of a made-up population.

    described: protocol -> what it is, in words. revision: raised when `run` gives other figures for the same settings.
    """

    data: str
    arms: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Mapping[str, Any]]
    described: Mapping[str, str]
    seeds: int
    metrics: Sequence[str]
    run: Callable[[Mapping[str, Any], Mapping[str, Any], int], Figures]
    revision: int = 1
    unit: str = field(default="runs")

    @property
    def protocols(self) -> Sequence[str]:
        return tuple(self.settings)

    @property
    def data_hash(self) -> str:
        """Of what is simulated: there are no bytes to hash."""
        return digest({"data": self.data, "settings": self.settings, "revision": self.revision})[:16]

    def open(self, folder: Path) -> None:
        """A population is made in each run."""

    def says(self, protocol: str) -> str:
        return self.described[protocol]

    def cells(self, graph: Graph, protocol: str, arm: str) -> list[Cell]:
        return [self._cell(graph, protocol, arm, seed) for seed in range(self.seeds)]

    def _cell(self, graph: Graph, protocol: str, arm: str, seed: int) -> Cell:
        setting, own = self.settings[protocol], self.arms[arm]
        config = {"data": self.data, "setting": dict(setting), "arm": dict(own), "seed": seed, "metrics": list(self.metrics)}

        def make(draft: Draft) -> None:
            found = self.run(setting, own, seed)
            save_arrays(draft.path / "values.safetensors", {name: np.atleast_1d(found[name]) for name in self.metrics})

        name = f"{protocol}, {arm}, seed {seed}"
        artifact = graph.stage("cell", make, config=config, revision=self.revision, name=name)
        arrays = load_arrays(artifact.path / "values.safetensors")
        return Cell(dict(own), artifact.manifest.seconds, {metric: arrays[metric] for metric in self.metrics})
