"""What evaluate, compare and reproduce show."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from headrace.cascade.comparison import compare_retrievers, judge_run, write_requests
from headrace.cascade.evaluation import evaluate_cascade
from headrace.cascade.run import planned
from headrace.cli.drawing import bars, page, show_set_aside
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.evaluate.report import text_table
from headrace.evaluate.rows import Row, accuracy
from headrace.flywheel.opened import open_live
from headrace.methods.retrieve import RETRIEVERS
from headrace.recipes.protocol import Budget, reproduce
from headrace.recipes.reporting import text


def show_evaluation(run: Path, theirs: Path | None, requests: Path | None, slices: bool) -> None:
    pipeline = open_live(run)
    if requests is not None:
        write_requests(pipeline, requests)
        page().print(f"What has to be answered is in {requests}. Then: headrace evaluate {run} --run ANSWERS.parquet")
        return
    rows = judge_run(pipeline, theirs, theirs.stem) if theirs is not None else evaluate_cascade(pipeline).rows
    _show(rows, run.name, slices)


def show_comparison(toml: Path, retrievers: list[str], out: Path, slices: bool) -> None:
    unknown = next((name for name in retrievers if name not in RETRIEVERS and ":" not in name), None)
    if unknown is not None:
        raise ConfigError(
            f'--retrieve: "{unknown}" is not a retriever.{nearest(unknown, RETRIEVERS)} Retrievers: {listed(RETRIEVERS)}.'
        )
    with bars(Console(stderr=True)) as progress:
        pipeline = planned(toml, out, progress)
        names = list(dict.fromkeys([pipeline.plan.evaluate.baseline, *retrievers]))
        plan = replace(pipeline.plan, retrieve=replace(pipeline.plan.retrieve, use=tuple(names)))
        rows = compare_retrievers(replace(pipeline, plan=plan), names)
    show_set_aside(page(), pipeline.set_aside)
    _show(rows, toml.stem, slices)


def show_reproduction(name: str, budget: Budget, out: Path, results: Path, protocols: list[str]) -> None:
    with bars(Console(stderr=True)) as progress:
        report = reproduce(name, budget, out / name / budget, progress, protocols=protocols or None)
    page().print(text(report), markup=False)
    if budget == "smoke":
        page().print("\nA smoke run checks the machinery on a made-up log. It is no reproduction, so no result is written.")
        return
    page().print(f"\nWritten to {report.write(results)}; docs/papers.md is made from it: make docs")


def _show(rows: list[Row], title: str, slices: bool) -> None:
    console, title = page(), f"{title}, {rows[0].split}"
    if not slices:
        console.print(text_table(accuracy(rows), title), markup=False)
        return
    console.print(text_table([row for row in rows if not row.beyond_accuracy], title), markup=False)
    console.print()
    console.print(text_table([row for row in rows if row.beyond_accuracy], f"{title}, beyond accuracy"), markup=False)
