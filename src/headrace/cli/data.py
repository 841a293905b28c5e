"""What the data verbs show."""

from rich.table import Table

from headrace.cli.drawing import page
from headrace.data import datasets


def show_list() -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("name")
    table.add_column("what it is")
    for name in datasets.names():
        table.add_row(name, datasets.describe(name).says)
    page().print(table)


def get(name: str) -> None:
    console = page()
    folder = datasets.get(name)
    console.print(datasets.licence(name), markup=False)
    console.print(f"\n{name} is in {folder}", markup=False, soft_wrap=True)


def check(path: str) -> None:
    for table, rows in datasets.check(path).items():
        page().print(f"{table}: {rows:,} rows, as the contract has them")
