"""A recipe worked through: arms × protocols × seeds to a report with the verdict of each of its claims."""

import importlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.progress import Progress, silent
from headrace.recipes import RECIPES
from headrace.recipes.cells import Cell, Work
from headrace.recipes.claims import Claim, Tested, Values, two_level
from headrace.recipes.reporting import ArmFigure, Report

Budget = Literal["smoke", "cpu", "full"]
Cells = Mapping[str, Sequence[Cell]]


class Recipe(Protocol):
    """A module of this room: its claim, and the work of each budget it has. `FURTHER`: claims beside it, a tuple, if any."""

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
    asked = _asked(name, claim, work, protocols)
    work.open(folder)
    graph = Graph(Store(folder / "store"), progress)
    cells = {protocol: _cells(graph, work, protocol) for protocol in asked}
    tested = [_tested(one, cells[one.protocol]) for one in (claim, *getattr(chosen, "FURTHER", ())) if one.protocol in cells]
    return Report(
        name=name,
        budget=budget,
        claim=claim,
        arms=[figure for protocol in asked for figure in _figures(protocol, cells[protocol], work.metrics)],
        difference=tested[0].difference,
        further={other: two_level(_lead(claim, cells[other])) for other in asked if other != claim.protocol},
        verdict=tested[0].verdict,
        claims=tested[1:],
        seeds=work.seeds,
        unit=work.unit,
        protocols={protocol: work.says(protocol) for protocol in asked},
        data=work.data,
        data_hash=work.data_hash,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command=" ".join([f"headrace reproduce {name} --budget {budget}", *(f'--protocol "{one}"' for one in protocols or ())]),
        seconds=round(sum(cell.seconds for by_arm in cells.values() for found in by_arm.values() for cell in found), 1),
    )


def _asked(name: str, claim: Claim, work: Work, protocols: Sequence[str] | None) -> Sequence[str]:
    if protocols is None:
        return work.protocols
    unknown = next((one for one in protocols if one not in work.protocols), None)
    if unknown is not None or claim.protocol not in protocols:
        wrong = f'"{unknown}" is not one.{nearest(unknown, work.protocols)}' if unknown else f'"{claim.protocol}" is missing.'
        raise ConfigError(f"{name}: protocols: {wrong} The claim is tested on one of: {listed(work.protocols)}.")
    return protocols


def _cells(graph: Graph, work: Work, protocol: str) -> Cells:
    """Every arm with every seed."""
    found: dict[str, list[Cell]] = {}
    for number, arm in enumerate(work.arms):
        graph.progress(f"{protocol}: arms", number, len(work.arms), arm)
        found[arm] = work.cells(graph, protocol, arm)
    graph.progress(f"{protocol}: arms", len(work.arms), len(work.arms))
    return found


def _tested(claim: Claim, cells: Cells) -> Tested:
    difference = two_level(_lead(claim, cells))
    return Tested(claim, difference, claim.verdict(difference.lo, difference.hi))


def _lead(claim: Claim, cells: Cells) -> Values:
    better, than = (_values(cells[arm], claim.metric) for arm in (claim.better, claim.than))
    return claim.lead(better, than)


def _values(cells: Sequence[Cell], metric: str) -> Values:
    """[seeds, units]."""
    return np.stack([cell.values[metric] for cell in cells])


def _figures(protocol: str, cells: Cells, metrics: Sequence[str]) -> list[ArmFigure]:
    figures = []
    for arm, found in cells.items():
        for metric in (metric for metric in metrics if metric in found[0].values):  # a protocol may have metrics of its own
            values = _values(found, metric)
            whole, by_seed = two_level(values), values.mean(1).tolist()
            n = values.shape[1] if values.shape[1] > 1 else len(values)  # one figure a run: the runs are what there is
            figures.append(ArmFigure(protocol, arm, metric, whole.value, whole.lo, whole.hi, n, by_seed, found[0].settings))
    return figures
