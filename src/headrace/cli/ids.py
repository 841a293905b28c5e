"""headrace ids: items' semantic ids, by themselves."""

from pathlib import Path
from typing import Annotated

import typer

ids_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""
    Semantic ids: every item as a few codes that like items share. build, report.

    A plan that has them:

        \\[data]
        dataset = "movielens-latest-small"
        \\[features]
        item_vectors = "tfidf"       # of what items say; minilm reads meaning, tfidf words
        \\[ids]
        method = "residual_kmeans"   # or rqvae
        levels = 3
        codes = 256

    What they are and how to read their report: docs/semantic_ids.md.
    """,
)


@ids_app.command()
def build(
    plan: Annotated[Path, typer.Argument(help="Your TOML, with \\[features] item_vectors and \\[ids].")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run; runs/NAME by default.")] = None,
) -> None:
    """Turn item texts into codes, without training anything that reads them; writes ids.json and ids.svg.

    A later headrace build of the same plan into the same folder finds them. Stopped, it goes on where it was.

    Example:  headrace ids build shop.toml --out runs/shop
    """
    from headrace.cli.coding import build_ids

    build_ids(plan, out or Path("runs") / plan.stem)


@ids_app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of headrace ids build, or of a build whose retrievers read codes.")],
    against: Annotated[Path | None, typer.Option(help="Another such folder: how far codes have moved since.")] = None,
    words: Annotated[int, typer.Option(min=0, help="First codes to show in words, those of most items first.")] = 10,
) -> None:
    """What the codes are like: use of each level, what they say of the texts, and how far they moved against another run.

    Worth a look before training on them: below half of a level's codes in use, or a cosine that does not rise with depth, the
    codes are at fault and no model mends them. "alike" is 1 where the same items stand together, whatever their codes are called.

    Example:  headrace ids report runs/shop --against runs/last-month
    """
    from headrace.cli.coding import show_ids

    show_ids(run, against, words)
