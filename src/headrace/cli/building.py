"""What build, demo and recommend show."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from headrace.cascade.answers import Answered
from headrace.cascade.evaluation import Measured
from headrace.cascade.reads_as import reads_as
from headrace.cascade.run import build, recommend
from headrace.cli.drawing import bars, page, show_set_aside
from headrace.evaluate.report import text_table
from headrace.evaluate.rows import accuracy
from headrace.flywheel.opened import open_live


def build_and_show(toml: Path, folder: Path, *, name: str) -> None:
    console = page()
    with bars(Console(stderr=True)) as progress:
        built = build(toml, folder, name=name, progress=progress)
    _show_import(console, built.measured)
    console.print(text_table(accuracy(built.measured.rows), name), markup=False)
    _show_best(console, built.measured)
    steps = " → ".join(f"{value:.3f} after {stage} (top {k})" for stage, k, value in built.measured.losses)
    console.print(f"\nRecall through the cascade: {steps}\n")
    console.print(f"One page, for user {built.user}:")
    _show_page(console, built.page)
    found = f", {len(built.reused)} found from before" if built.reused else ""
    console.print(f"\n{len(built.made)} stages worked out{found}. Report: {folder / 'report.html'} (figures: report.json)")
    console.print(f"By slice, coverage, novelty, diversity: headrace evaluate {folder} --slices")
    console.print(f"Another page: headrace recommend {folder} USER")


def show_answer(folder: Path, user: str, seed: int, preference: str | None) -> None:
    _show_page(page(), recommend(open_live(folder), user, seed=seed, preference=preference))


def show_explanation(folder: Path, user: str, seed: int, preference: str | None) -> None:
    console, pipeline = page(), open_live(folder)
    if said := reads_as(pipeline, user):
        console.print(f"The user is read as: {said}", markup=False)
    for one in recommend(pipeline, user, seed=seed, preference=preference, codes=True):
        console.print(f"{one.position:>2}. {one.title} ({one.item_id}), chance {one.propensity:.3f} in this slot", markup=False)
        for reason in one.details:
            console.print(f"      {reason}", markup=False)


def _show_import(console: Console, measured: Measured) -> None:
    facts = measured.facts
    data, split = facts["data"], facts["split"]
    console.print(f"{data['source']}: {facts['events']:,} events of {facts['users']:,} users on {facts['items']:,} items.")
    console.print(f"  {data['tied events']}.")
    show_set_aside(console, facts.get("rows set aside", {}))
    console.print(f"Split: {split['kind']}; tested on {split['test']} of {facts['test users']:,} users.\n")


def _show_best(console: Console, measured: Measured) -> None:
    """What the whole cascade gains or loses against the best it is made of."""
    facts = dict(measured.facts["best retriever"])
    console.print(f"\nBest retriever alone: {facts.pop('alone')} ({facts.pop('chosen by')})", markup=False)
    for what, difference in facts.items():
        console.print(f"  {what} {difference}", markup=False)


def _show_page(console: Console, answered: Sequence[Answered]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("item")
    table.add_column("chance", justify="right")
    table.add_column("why")
    for one in answered:
        table.add_row(str(one.position), f"{one.title} ({one.item_id})", f"{one.propensity:.3f}", "; ".join(one.reasons))
    console.print(table, markup=False)
