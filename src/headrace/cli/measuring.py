"""What evaluate and reproduce show."""

from pathlib import Path

from rich.console import Console

from headrace.cascade.comparison import judge_run, write_requests
from headrace.cascade.evaluation import evaluate_cascade
from headrace.cli.comparing import show_rows
from headrace.cli.drawing import bars, page
from headrace.flywheel.opened import open_live
from headrace.recipes.protocol import Budget, reproduce
from headrace.recipes.reporting import text


def show_evaluation(run: Path, theirs: Path | None, requests: Path | None, slices: bool) -> None:
    pipeline = open_live(run)
    if requests is not None:
        write_requests(pipeline, requests)
        page().print(f"What has to be answered is in {requests}. Then: headrace evaluate {run} --run ANSWERS.parquet")
        return
    rows = judge_run(pipeline, theirs, theirs.stem) if theirs is not None else evaluate_cascade(pipeline).rows
    show_rows(rows, run.name, slices)


def show_reproduction(name: str, budget: Budget, out: Path, results: Path, protocols: list[str]) -> None:
    with bars(Console(stderr=True)) as progress:
        report = reproduce(name, budget, out / name / budget, progress, protocols=protocols or None)
    page().print(text(report), markup=False)
    if budget == "smoke":
        page().print("\nA smoke run checks the machinery on a made-up log. It is no reproduction, so no result is written.")
        return
    page().print(f"\nWritten to {report.write(results)}; docs/papers.md is made from it: make docs")
