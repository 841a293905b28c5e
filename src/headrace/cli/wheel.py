"""The flywheel's verbs: fly, generations, promote, rollback."""

from pathlib import Path
from typing import Annotated

import typer

wheel_app = typer.Typer()


@wheel_app.command()
def fly(
    plan: Annotated[Path, typer.Argument(help="Your TOML, with \\[gates] and \\[fly]; or the word world, for a simulated shop.")],
    generations: Annotated[int, typer.Option(min=1, help="How many there shall be, those of an earlier run among them.")] = 5,
    drill: Annotated[list[int] | None, typer.Option(help="Break this generation on purpose, to see the gates hold.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/fly-NAME by default.")] = None,
) -> None:
    """Turn the wheel: serve, retrain on the log, ask the gates, promote or stay. Stopped anywhere, it goes on where it was.

    Example:  headrace fly world --generations 5 --drill 3
    """
    from headrace.cli.flying import fly_and_show

    fly_and_show(plan, out or Path("runs") / f"fly-{plan.stem}", generations, drill or [])


@wheel_app.command()
def generations(run: Annotated[Path, typer.Argument(help="The folder of a flywheel, such as runs/fly-shop.")]) -> None:
    """Which generations there are, which is live, and every promotion and rollback.

    Example:  headrace generations runs/fly-shop
    """
    from headrace.cli.flying import show_generations

    show_generations(run)


@wheel_app.command()
def promote(
    run: Annotated[Path, typer.Argument(help="The folder of a flywheel.")],
    number: Annotated[int, typer.Argument(help="The generation to make live; headrace generations lists them.")],
    why: Annotated[str, typer.Option(help="For the ledger.")] = "by hand",
) -> None:
    """Make a generation live whatever the gates said. One swap: a server that starts sees the old one or the new.

    Example:  headrace promote runs/fly-shop 3 --why "the gate's margin was too narrow"
    """
    from headrace.cli.flying import promote as made_live

    made_live(run, number, why)


@wheel_app.command()
def rollback(
    run: Annotated[Path, typer.Argument(help="The folder of a flywheel.")],
    why: Annotated[str, typer.Option(help="For the ledger.")] = "by hand",
) -> None:
    """Back to the generation that was live before.

    Example:  headrace rollback runs/fly-shop --why "errors on the home page"
    """
    from headrace.cli.flying import roll_back

    roll_back(run, why)
