"""Keys of a served run: add, list, revoke."""

from pathlib import Path
from typing import Annotated

import typer

keys_app = typer.Typer(no_args_is_help=True, help="Who may ask a server what: API keys with scopes.")

Run = Annotated[Path, typer.Argument(help="The folder that is served, such as runs/shop.")]


@keys_app.command()
def add(
    run: Run,
    name: Annotated[str, typer.Argument(help="Whose it is; it stands in the log.")],
    scope: Annotated[str, typer.Option(help="What it opens, with commas: read, write, admin.")] = "read",
) -> None:
    """Make a key. Its secret is said this once; a server that runs knows it at once.

    Example:  headrace keys add runs/shop website --scope read,write
    """
    from headrace.serve.guard.keys import add_key

    secret = add_key(run, name, [one.strip() for one in scope.split(",") if one.strip()])
    typer.echo(secret)
    typer.echo("Said this once and kept nowhere. Send it as: Authorization: Bearer KEY", err=True)


@keys_app.command("list")
def shown(run: Run) -> None:
    """Names, scopes and ages; secrets are not known.

    Example:  headrace keys list runs/shop
    """
    from rich.table import Table

    from headrace.cli.drawing import page
    from headrace.serve.guard.keys import FILE, read_keys

    path = run / FILE
    keys = read_keys(path).values() if path.exists() else ()
    if not keys:
        typer.echo(f"{run}: no keys. Make one: headrace keys add {run} NAME --scope read,write")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "scopes", "begins with", "made"):
        table.add_column(column)
    for one in keys:
        table.add_row(one.name, ", ".join(one.scopes), f"hr_{one.prefix}_", one.made)
    page().print(table)


@keys_app.command()
def revoke(run: Run, name: Annotated[str, typer.Argument(help="As headrace keys list says it.")]) -> None:
    """Let a key open nothing from its next request on, also where a server runs.

    Example:  headrace keys revoke runs/shop website
    """
    from headrace.serve.guard.keys import revoke_key

    revoke_key(run, name)
    typer.echo(f"{name} opens nothing any more.")
