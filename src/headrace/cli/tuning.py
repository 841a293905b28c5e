"""headrace tune: teach a local language model from rows of prompts and answers."""

from pathlib import Path
from typing import Annotated

import typer

tuning_app = typer.Typer()


@tuning_app.command()
def tune(
    plan: Annotated[Path, typer.Argument(help="Your TOML: which rows, which model, how. docs/finetune.md has every key.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run; runs/NAME by default. Run again: it goes on.")
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Write the model with the adapter in its weights, too: merged/.")
    ] = False,
) -> None:
    """Teach a local language model: an adapter is trained on most rows, and what it says on the others is measured.

    Example:  headrace tune reviews.toml --out runs/reviews
    """
    from rich.console import Console

    from headrace.build.tuning_plan import tuned, tuning_plan
    from headrace.cascade.plan import read_toml
    from headrace.cli.drawing import bars, page

    asked, folder = tuning_plan(read_toml(plan), where=plan.name, folder=plan.parent), out or Path("runs") / plan.stem
    with bars(Console(stderr=True)) as progress:
        found = tuned(asked, folder, merge=merge, progress=progress)
    console = page()
    for number, means in enumerate(found.adapter.manifest.metrics["curve"], 1):
        console.print(f"epoch {number}: training loss {means['next_token']:.4f} nats a token")
    console.print(f"Trained on {found.trained_on:,} chats; {found.after.n:,} were held out:")
    for what, one in (("as it came", found.before), ("tuned", found.after)):
        right = one.accuracy
        said = "" if right is None else f", accuracy {right[0]:.3f} [{right[1]:.3f}, {right[2]:.3f}]"
        console.print(f"  {what:<11} {one.loss:.4f} nats a token{said}", markup=False)
    console.print(f"\nThe adapter: {found.adapter.path} (figures: {folder / 'tune.json'})", markup=False)
    if found.merged is not None:
        console.print(f"The model with it: {found.merged}", markup=False)
