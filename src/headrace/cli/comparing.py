"""What compare shows: retrievers, rankers or balancers side by side on a plan's own data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from headrace.cascade.comparison import compare_retrievers
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.rankers import SideBySide, compare_balancers, compare_rankers
from headrace.cascade.run import planned
from headrace.cli.drawing import bars, page, show_set_aside
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.manifest import Manifest
from headrace.evaluate.report import text_table
from headrace.evaluate.rows import Row, accuracy
from headrace.methods.retrieve import RETRIEVERS

RETRIEVE = "popularity,itemknn,ease,sasrec"
_SHOWN = ("gauc", "auc", "normalized_entropy", "calibration_ratio")  # what a terminal has room for
_VERSUS = ("auc", "normalized_entropy")


def show_comparison(toml: Path, asked: Mapping[str, str | None], out: Path, slices: bool) -> None:
    """asked: retrieve, rank and balance -> names with commas, or None."""
    given = {kind: names for kind, names in asked.items() if names is not None} or {"retrieve": RETRIEVE}
    if len(given) > 1:
        raise ConfigError(
            f"compare sets methods of one kind side by side, and was given {' and '.join(f'--{kind}' for kind in given)}. Give "
            "one of them, and run it again for another."
        )
    kind, text = next(iter(given.items()))
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f'--{kind} is "{text}": name one method or more, with commas.')
    with bars(Console(stderr=True)) as progress:
        pipeline = planned(toml, out, progress)
        if kind == "retrieve":
            found = SideBySide(_retrievers(pipeline, names), {})
        else:
            found = compare_rankers(pipeline, names) if kind == "rank" else compare_balancers(pipeline, names)
    show_set_aside(page(), pipeline.set_aside)
    if kind == "retrieve" or not pipeline.plan.tasks_of("rank"):
        show_rows(found.rows, toml.stem, slices)
    else:
        _show_impressions(found, toml.stem)
    if found.trained:
        _show_training(found.trained)


def _retrievers(pipeline: Pipeline, names: Sequence[str]) -> list[Row]:
    unknown = next((name for name in names if name not in RETRIEVERS and ":" not in name), None)
    if unknown is not None:
        raise ConfigError(
            f'--retrieve: "{unknown}" is not a retriever.{nearest(unknown, RETRIEVERS)} Retrievers: {listed(RETRIEVERS)}.'
        )
    every = list(dict.fromkeys([pipeline.plan.evaluate.baseline, *names]))
    plan = replace(pipeline.plan, retrieve=replace(pipeline.plan.retrieve, use=tuple(every)))
    return compare_retrievers(replace(pipeline, plan=plan), every)


def _show_impressions(found: SideBySide, title: str) -> None:
    """A block for each task and population."""
    console = page()
    if not found.rows:
        console.print(f"{title}: no impression of the test window can be labelled yet, so there is nothing to compare on.")
        return
    rows = [row for row in found.rows if row.metric in _SHOWN]
    console.print(text_table(rows, title, _VERSUS), markup=False)
    if found.unlikely:
        console.print(
            f"Scores of {listed(found.unlikely)} are no probabilities (loss is not pointwise), so there are rows of order alone.",
            markup=False,
        )


def _show_training(trained: Mapping[str, Manifest]) -> None:
    """What each cost, whenever it was trained."""
    width = max(len(name) for name in trained)
    lines = []
    for name, manifest in trained.items():
        went = manifest.metrics
        told = f"{went['epochs']} epochs, {went['steps']:,} steps, " if "epochs" in went else ""
        lines.append(f"  {name:<{width}}  {told}{manifest.seconds:.1f} s")
    page().print("\n".join(["", "trained in", *lines]), markup=False)


def show_rows(rows: list[Row], title: str, slices: bool) -> None:
    console, title = page(), f"{title}, {rows[0].split}"
    if not slices:
        console.print(text_table(accuracy(rows), title), markup=False)
        return
    console.print(text_table([row for row in rows if not row.beyond_accuracy], title), markup=False)
    console.print()
    console.print(text_table([row for row in rows if row.beyond_accuracy], f"{title}, beyond accuracy"), markup=False)
