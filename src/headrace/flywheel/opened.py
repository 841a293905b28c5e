"""A generation picked up again: its pipeline, its cascade, and how to ask it in another generation's numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.cascade.cascade import Cascade
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.plan import plan_from
from headrace.cascade.run import open_run, sources_of
from headrace.contracts.errors import ConfigError
from headrace.contracts.progress import Progress, silent
from headrace.contracts.requests import Int32, Requests
from headrace.flywheel.generations import Generation, Generations
from headrace.world.translate import Named, Translated


@dataclass(frozen=True)
class Opened:
    """name: as tables and reports call it, "generation 3"."""

    name: str
    pipeline: Pipeline

    @cached_property
    def cascade(self) -> Cascade:
        return self.pipeline.cascade()

    @property
    def user_ids(self) -> pl.Series:
        return self.pipeline.log.users.ids

    @property
    def item_ids(self) -> pl.Series:
        return self.pipeline.log.items.ids

    def among(self, named: Named) -> Translated:
        """As a policy that is spoken to in the numbers of a world, or of another generation."""
        log = self.pipeline.log
        return Translated(self.cascade, named, users=log.users, items=log.items, features=self.pipeline.feature_object.users_at)

    def ranked(self, requests: Requests, named: "Opened", k: int) -> Int32:
        """The k best of its ranker, [R, k], in the numbers of `named`, whose requests these are; 0 behind the last."""
        asked = self.among(named)
        found = np.zeros((len(requests), k), np.int32)
        for rows, part in requests.chunks(256):
            items = asked.ours[self.cascade.candidates(asked.requests(part)).items[:, :k]]
            found[rows, : items.shape[1]] = np.where(items < 0, 0, items)
        return found


def record(values: Mapping[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """What opens a plan's pipeline again, and the state of its sources now."""
    plan = plan_from(values, where=where, folder=folder)
    return {"toml": dict(values), "where": where, "folder": str(folder.resolve()), "sources": sources_of(plan)}


def pipeline_of(
    kept: Mapping[str, Any], store: Path, progress: Progress = silent, *, read_only: bool = False, as_built: bool = False,
    kind: type[Pipeline] = Pipeline,
) -> Pipeline:  # fmt: skip
    """read_only: a stage that is not in the store is an error. as_built: see `Graph`. kind: of pipeline (see `drill`)."""
    plan = plan_from(kept["toml"], where=kept["where"], folder=Path(kept["folder"]))
    return kind(plan, Graph(Store(store), progress, read_only=read_only, as_built=as_built), kept["sources"])


def opened(run: Path, generation: Generation, *, as_built: bool = False) -> Opened:
    """As it stands in the store; nothing is made."""
    pipeline = pipeline_of(generation.plan, run / "store", read_only=True, as_built=as_built)
    return Opened(f"generation {generation.number}", pipeline)


def open_live(run: Path, *, as_built: bool = False) -> Pipeline:
    """What a server of this folder answers with: the live generation of a flywheel, or else the build that lies there.

    as_built: users who were erased since do not make it another one; who answers them has to know them as nobody."""
    ledger = Generations(run)
    live = ledger.live
    if live is not None:
        return opened(run, live, as_built=as_built).pipeline
    if ledger.all():
        raise ConfigError(f"{run}: it has generations and none is live. Choose one: headrace promote {run} 1.")
    return open_run(run, as_built=as_built)
