"""Progress on a terminal: one bar for each piece of work under way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from headrace.contracts.progress import Progress


def page() -> Console:
    """Standard output. A pipe or file has no width, so tables are not folded there."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def show_set_aside(console: Console, found: Mapping[str, int]) -> None:
    """found: table and reason -> rows."""
    for reason, rows in found.items():
        console.print(f"  set aside: {rows:,} rows of {reason}", markup=False)


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """A `Progress` that draws, with count, time gone, time to go, and the latest figure."""
    columns = (
        SpinnerColumn(), TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("[dim]{task.fields[note]}"),
    )  # fmt: skip
    with Bars(*columns, console=console) as drawn:
        tasks: dict[str, int] = {}

        def progress(what: str, done: int, total: int, note: str = "") -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what, total=total, note=note)
            drawn.update(tasks[what], completed=done, total=total, note=note)  # type: ignore[arg-type]

        yield progress
