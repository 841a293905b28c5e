"""A recipe worked through: arms × splits × seeds to a report with its verdict."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol, cast

import numpy as np

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.contracts.config import digest
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.progress import Progress, silent
from headrace.data.holdouts import Held, Split
from headrace.data.log import Log
from headrace.data.ring import write_ring
from headrace.recipes import RECIPES
from headrace.recipes.arms import Arm, Cell, run_cell
from headrace.recipes.claims import Claim, Interval, two_level
from headrace.recipes.reporting import ArmFigure, Report

Budget = Literal["smoke", "cpu", "full"]


@dataclass(frozen=True)
class Work:
    """What one budget of a recipe runs. data: a data set's name, or "ring". protocols: name -> split, the claim's among them."""

    data: str
    arms: Mapping[str, Arm]
    protocols: Mapping[str, Split]
    seeds: int
    metrics: Sequence[str]


class Recipe(Protocol):
    """A module of this room: its claim, and the work of each budget it has."""

    CLAIM: Claim

    def work(self, budget: Budget) -> Work: ...


def recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise ConfigError(f'"{name}" has no recipe.{nearest(name, RECIPES)} Recipes: {listed(sorted(RECIPES))}.')
    return cast(Recipe, importlib.import_module(RECIPES[name]))


def reproduce(
    name: str, budget: Budget, folder: Path, progress: Progress = silent, *, protocols: Sequence[str] | None = None
) -> Report:
    """folder: keeps each finished cell, so a run that is stopped goes on. protocols: only these, the claim's among them."""
    chosen = recipe(name)
    claim, work = chosen.CLAIM, chosen.work(budget)
    if protocols is not None:
        unknown = next((one for one in protocols if one not in work.protocols), None)
        if unknown is not None or claim.protocol not in protocols:
            wrong = f'"{unknown}" is not one.{nearest(unknown, work.protocols)}' if unknown else f'"{claim.protocol}" is missing.'
            raise ConfigError(f"{name}: protocols: {wrong} The claim is tested on one of: {listed(work.protocols)}.")
        work = replace(work, protocols={one: work.protocols[one] for one in protocols})
    graph = Graph(Store(folder / "store"), progress)
    figures: list[ArmFigure] = []
    differences: dict[str, Interval] = {}
    says: dict[str, str] = {}
    seconds = 0.0
    with TemporaryDirectory() as scratch:
        log, data_hash = _log(work.data, Path(scratch))
        for protocol, split in work.protocols.items():
            held = split.of(log)
            says[protocol] = held.describes
            cells = _cells(graph, held, work, claim, data_hash)
            figures += _figures(protocol, cells, work.metrics)
            seconds += sum(cell.seconds for found in cells.values() for cell in found)
            better, than = (np.stack([cell.values[claim.metric] for cell in cells[arm]]) for arm in (claim.better, claim.than))
            differences[protocol] = two_level(better - than)
    own = differences.pop(claim.protocol)
    return Report(
        name=name,
        budget=budget,
        claim=claim,
        arms=figures,
        difference=own,
        further=differences,
        verdict=claim.verdict(own.lo, own.hi),
        seeds=work.seeds,
        protocols=says,
        data=work.data,
        data_hash=data_hash,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command=" ".join([f"headrace reproduce {name} --budget {budget}", *(f'--protocol "{one}"' for one in protocols or ())]),
        seconds=round(seconds, 1),
    )


def _cells(graph: Graph, held: Held, work: Work, claim: Claim, data: str) -> dict[str, list[Cell]]:
    """Every arm with every seed, the arms' tuning first."""
    found: dict[str, list[Cell]] = {}
    for number, (name, arm) in enumerate(work.arms.items()):
        graph.progress(f"{held.name}: arms", number, len(work.arms), name)
        seeds = range(work.seeds) if arm.learned else [0]
        same: dict[str, Any] = {"metrics": work.metrics, "data": data, "chosen_by": claim.metric}
        found[name] = [run_cell(graph, held, name, arm, seed=seed, **same) for seed in seeds]
    graph.progress(f"{held.name}: arms", len(work.arms), len(work.arms))
    return found


def _figures(protocol: str, cells: Mapping[str, Sequence[Cell]], metrics: Sequence[str]) -> list[ArmFigure]:
    figures = []
    for arm, found in cells.items():
        for metric in metrics:
            values = np.stack([cell.values[metric] for cell in found])
            whole, by_seed = two_level(values), values.mean(1).tolist()
            figures.append(
                ArmFigure(protocol, arm, metric, whole.value, whole.lo, whole.hi, values.shape[1], by_seed, found[0].settings)
            )
    return figures


def _log(data: str, scratch: Path) -> tuple[Log, str]:
    if data == "ring":
        write_ring(scratch, users=60, steps=10, items=20)
        tables = scratch
    else:
        from headrace.data import datasets

        tables = datasets.get(data)
    log = Log.from_tables(tables)
    events = log.store.events
    parts = (events.offsets, events.items, events.at_us)
    return log, digest([sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for part in parts])[:16]
