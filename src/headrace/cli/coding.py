"""What headrace ids shows."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from headrace.cascade.ids_report import IdsReport, codes_of, ids_report, write_ids
from headrace.cascade.run import open_run, planned
from headrace.cli.drawing import bars, page
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.evaluate.charts import figure


def build_ids(plan: Path, folder: Path) -> None:
    with bars(Console(stderr=True)) as progress:
        pipeline = planned(plan, folder, progress)
        report = ids_report(pipeline, folder.name)
    console = page()
    _show(console, report, codes_of(pipeline), 10)
    written = ", ".join(map(str, write_ids(folder, report)))
    console.print(f"\nWritten: {written}. Against another run: headrace ids report {folder} --against OTHER", markup=False)


def show_ids(folder: Path, against: Path | None, words: int) -> None:
    pipeline = open_run(folder)
    report = ids_report(
        pipeline, folder.name, None if against is None else open_run(against), "" if against is None else against.name
    )
    console = page()
    _show(console, report, codes_of(pipeline), words)
    console.print(f"\nWritten: {', '.join(map(str, write_ids(folder, report)))}", markup=False)


def _show(console: Console, report: IdsReport, ids: SemanticIds, words: int) -> None:
    found = report.measured
    console.print(f"{found.with_codes:,} of {found.items:,} items have codes, by {report.method}.")
    console.print(
        f"Before the last level, {found.shared:.1%} of them share their codes with another, at most {found.most_on_a_code} "
        f"the same; the last level has {found.last_level} symbols.\n"
    )
    usage = _table("level", "codes", "in use", "perplexity", "entropy (nats)")
    for at, level in enumerate(found.levels, 1):
        usage.add_row(str(at), str(level.of), f"{level.used / level.of:.0%}", f"{level.perplexity:.1f}", f"{level.entropy:.2f}")
    console.print(usage)
    moved = {one.depth: one for one in report.moved}
    columns = ["moved", "alike (Rand)", "alike (mutual)"] if moved else []
    depths = _table("\ncodes in common", "\ncosine", "\nmean square error", *(f"\n{name}" for name in columns))
    for depth, (cosine, error) in enumerate(zip(found.cosine, found.error, strict=True)):
        drift = [f"{moved[depth].moved:.1%}", figure(moved[depth].rand), figure(moved[depth].mutual)] if depth in moved else []
        depths.add_row(str(depth), figure(cosine), f"{error:.6f}", *drift)
    console.print(depths)
    if moved:
        console.print(f"\nAgainst {report.against}: {report.matched:,} items that both have codes for.", markup=False)
    _show_words(console, report, ids, words)


def _show_words(console: Console, report: IdsReport, ids: SemanticIds, most: int) -> None:
    first = ids.codes[ids.there, 0].tolist()
    largest = sorted(report.words, key=lambda code: (-first.count(code), code))[:most]
    if not largest:
        return
    table = _table("\nfirst code", "\nitems")
    table.add_column("\nwords that stand out")
    for code in largest:
        table.add_row(str(code), str(first.count(code)), ", ".join(report.words[code]))
    console.print(table, markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right")
    return table
