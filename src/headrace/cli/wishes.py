"""What headrace steer shows."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from headrace.artifacts.atomic import place
from headrace.cascade.wishes import Followed, followed
from headrace.cli.drawing import bars, page
from headrace.flywheel.opened import open_live


def show_steering(
    run: Path, wish: str, opposite: str | None, categories: Sequence[str], users: int, seed: int, out: Path | None
) -> None:
    import json

    pipeline = open_live(run)
    with bars(Console(stderr=True)) as progress:
        pipeline.graph.progress = progress
        wishes = [wish, opposite] if opposite else [wish]
        found = followed(pipeline, wishes, categories=categories, users=users, seed=seed)
    console = page()
    console.print(_table(found))
    for one in found:
        if one.wanted:
            way = "rise" if one.wanted > 0 else "fall"
            console.print(f'"{one.wish}": {one.category} was to {way}: {"met" if one.holds else "NOT met"}', markup=False)
    if out is not None:
        place(out, json.dumps({"users": users, "seed": seed, "rows": [_row(one) for one in found]}, indent=1) + "\n")
        console.print(f"Written to {out}.", markup=False)


def _table(found: Sequence[Followed]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("wish", "category"):
        table.add_column(name)
    for name in ("without it", "with it", "difference", "95% interval"):
        table.add_column(name, justify="right")
    for one in found:
        change = one.difference
        table.add_row(
            one.wish, one.category, f"{one.without.value[0]:.3f}", f"{one.share.value[0]:.3f}", f"{change.value:+.3f}",
            f"\\[{change.lo:+.3f}, {change.hi:+.3f}]",
        )  # fmt: skip
    return table


def _row(one: Followed) -> dict[str, Any]:
    return {
        "wish": one.wish, "category": one.category, "wanted": one.wanted, "without": float(one.without.value[0]),
        "with": float(one.share.value[0]), "difference": asdict(one.difference), "holds": one.holds,
    }  # fmt: skip
