"""headrace world: logs whose truth is known."""

from pathlib import Path
from typing import Annotated

import typer

world_app = typer.Typer(no_args_is_help=True, help="Simulated populations whose truth is known: make.")


@world_app.command("make")
def world_make(
    size: Annotated[str, typer.Argument(help="small (2,000 users), medium (8,000) or large (20,000, 10M+ candidate rows).")],
    out: Annotated[Path, typer.Option("--out", help="A new folder for the log, its plan shop.toml and the truth.")],
    seed: Annotated[int, typer.Option(help="Another seed, another world.")] = 0,
    days: Annotated[int | None, typer.Option(min=1, help="How long the log is; ten days if left out.")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The noisy top 4: a logger without chance, and no position bias.")
    ] = False,
) -> None:
    """A log whose truth is known: every candidate with its stage and scores, exact propensities, and a plan that builds.

    Example:  headrace world make small --out runs/world
    """
    from headrace.cli.world import make

    make(size, out, seed=seed, days=days, deterministic=deterministic)
