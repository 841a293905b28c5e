"""Arms that are trained and tried: every arm gets as many trials, and each run is kept, so a reproduction can be stopped.

    run(setting, arm's settings and a trial's, seed) -> figures, "valid" among them

Each arm's trials are run with seed 0, the one with the least "valid" is chosen, and that one is run with every seed. Where the
trials themselves are the question (up to which rate does it train?), `over` makes one arm's figures of all its trials' figures of
a seed, and every trial is run with every seed. Arms of equal settings share their runs; they differ in what they show.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Draft
from headrace.build.graph import Graph
from headrace.contracts.config import digest
from headrace.recipes.cells import Cell, Figures

Settings = Mapping[str, Any]
VALID = "valid"
"""The figure trials are chosen by: a loss on validation."""


@dataclass(frozen=True)
class TrialArm:
    """trials: settings over the arm's own. shows: metric -> the run's figure it reads, itself where not named."""

    settings: Settings = field(default_factory=dict)
    trials: Sequence[Settings] = ({},)
    shows: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trials:
    """Implements `Work`. settings: protocol -> what all its arms have in common. open_data: fetches what is learned from, returns
    its digest. metrics: those that a protocol's runs have no figure of are another's. revision: raised when `run` gives other
    figures for the same settings. kept: (setting, metric, seed) -> places of a run's values that are shown, where a seed's draws
    decide which units there are: those that every seed has."""

    data: str
    arms: Mapping[str, TrialArm]
    settings: Mapping[str, Settings]
    described: Mapping[str, str]
    seeds: int
    metrics: Sequence[str]
    run: Callable[[Settings, Settings, int], Figures]
    open_data: Callable[[Path], str]
    over: Callable[[Sequence[Settings], Sequence[Figures]], Figures] | None = None
    unit: str = "rows of text"
    revision: int = 1
    kept: Callable[[Settings, str, int], NDArray[np.int64]] | None = None
    _opened: dict[str, str] = field(default_factory=dict)

    @property
    def protocols(self) -> Sequence[str]:
        return tuple(self.settings)

    @property
    def data_hash(self) -> str:
        return self._opened["digest"]

    def open(self, folder: Path) -> None:
        self._opened["digest"] = self.open_data(folder)[:16]

    def says(self, protocol: str) -> str:
        return self.described[protocol]

    def cells(self, graph: Graph, protocol: str, arm: str) -> list[Cell]:
        own, setting = self.arms[arm], self.settings[protocol]
        tried = [{**own.settings, **trial} for trial in own.trials]
        if self.over is not None:
            return [self._summed(graph, setting, arm, tried, seed) for seed in range(self.seeds)]
        chosen = tried[0]
        if len(tried) > 1:
            valid = [float(self._ran(graph, setting, arm, one, 0)[0][VALID].mean()) for one in tried]
            chosen = tried[int(np.argmin(np.where(np.isfinite(valid), valid, np.inf)))]
        ran = [self._ran(graph, setting, arm, chosen, seed) for seed in range(self.seeds)]
        return [self._cell(own, chosen, self._of_all(setting, found, seed), took) for seed, (found, took) in enumerate(ran)]

    def _summed(self, graph: Graph, setting: Settings, arm: str, tried: Sequence[Settings], seed: int) -> Cell:
        assert self.over is not None
        ran = [self._ran(graph, setting, arm, one, seed) for one in tried]
        figures = self.over(tried, [found for found, _ in ran])
        return self._cell(self.arms[arm], self.arms[arm].settings, figures, sum(seconds for _, seconds in ran))

    def _of_all(self, setting: Settings, figures: Figures, seed: int) -> Figures:
        if self.kept is None:
            return figures
        shown = {name: values for name, values in figures.items() if name in self.metrics}
        return {name: np.atleast_1d(values)[self.kept(setting, name, seed)] for name, values in shown.items()}

    def _cell(self, arm: TrialArm, settings: Settings, figures: Figures, seconds: float) -> Cell:
        read = {metric: arm.shows.get(metric, metric) for metric in self.metrics}
        shown = {metric: np.atleast_1d(figures[name]) for metric, name in read.items() if name in figures}
        return Cell(dict(settings), seconds, shown)

    def _ran(self, graph: Graph, setting: Settings, arm: str, own: Settings, seed: int) -> tuple[Figures, float]:
        """One run's figures, and the seconds it took, whenever."""
        config = {"data": self.data, "data_hash": self.data_hash, "setting": dict(setting), "arm": dict(own), "seed": seed}

        def make(draft: Draft) -> None:
            found = self.run(setting, own, seed)
            save_arrays(draft.path / "values.safetensors", {name: np.atleast_1d(values) for name, values in found.items()})

        name = f"{arm}, {digest(dict(own))[:6]}, seed {seed}"
        artifact = graph.stage("trial", make, config=config, revision=self.revision, name=name)
        return load_arrays(artifact.path / "values.safetensors"), artifact.manifest.seconds
