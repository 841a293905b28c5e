"""What build, demo and recommend show."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from headrace.cascade.answers import Answered
from headrace.cascade.evaluation import Measured
from headrace.cascade.run import build, open_run, recommend
from headrace.cli.drawing import bars, page
from headrace.evaluate.report import text_table


def build_and_show(toml: Path, folder: Path, *, name: str) -> None:
    console = page()
    with bars(Console(stderr=True)) as progress:
        built = build(toml, folder, name=name, progress=progress)
    _show_import(console, built.measured)
    console.print(text_table([row for row in built.measured.rows if row.slice == "all"], name), markup=False)
    steps = " → ".join(f"{value:.3f} after {stage} (top {k})" for stage, k, value in built.measured.losses)
    console.print(f"\nRecall through the cascade: {steps}\n")
    console.print(f"One page, for user {built.user}:")
    _show_page(console, built.page)
    found = f", {len(built.reused)} found from before" if built.reused else ""
    console.print(f"\n{len(built.made)} stages worked out{found}. Report: {folder / 'report.html'} (figures: report.json)")
    console.print(f"Another page: headrace recommend {folder} USER")


def show_answer(folder: Path, user: str, seed: int) -> None:
    _show_page(page(), recommend(open_run(folder), user, seed=seed))


def show_explanation(folder: Path, user: str, seed: int) -> None:
    console = page()
    for one in recommend(open_run(folder), user, seed=seed):
        console.print(f"{one.position:>2}. {one.title} ({one.item_id}), chance {one.propensity:.3f} in this slot", markup=False)
        for reason in one.reasons:
            console.print(f"      {reason}", markup=False)


def _show_import(console: Console, measured: Measured) -> None:
    facts = measured.facts
    data, split = facts["data"], facts["split"]
    console.print(f"{data['source']}: {facts['events']:,} events of {facts['users']:,} users on {facts['items']:,} items.")
    console.print(f"  {data['tied events']}.")
    for reason, rows in facts.get("rows set aside", {}).items():
        console.print(f"  set aside: {rows:,} rows of {reason}")
    console.print(f"{split['kind']} split; tested on {split['test']} of {facts['test users']:,} users.\n")


def _show_page(console: Console, answered: Sequence[Answered]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("item")
    table.add_column("chance", justify="right")
    table.add_column("why")
    for one in answered:
        table.add_row(str(one.position), f"{one.title} ({one.item_id})", f"{one.propensity:.3f}", "; ".join(one.reasons))
    console.print(table, markup=False)
