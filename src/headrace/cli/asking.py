"""headrace recommend, explain and steer: one page, all there is to say of it, and whether pages follow a wish."""

from pathlib import Path
from typing import Annotated

import typer

asking_app = typer.Typer()

Run = Annotated[Path, typer.Argument(help="The folder of a build, such as runs/demo.")]
Seed = Annotated[int, typer.Option(help="Another seed, another draw of the exploring page.")]
Preference = Annotated[
    str | None, typer.Option(help='What they want, in words: "comedies, no horror". Needs a build with [features] item_vectors.')
]


@asking_app.command()
def recommend(
    run: Run,
    user: Annotated[str, typer.Argument(help="The user's id as it stands in your log; an unknown one gets the fallback.")],
    seed: Seed = 0,
    preference: Preference = None,
) -> None:
    """One page for a user as of the end of the log: each item, its chance of this place, and the reason that matters most.

    An item drawn against its rank says "by chance": the page explores a little, so that other policies can be judged by its log.

    Example:  headrace recommend runs/demo 42

    With a wish:  headrace recommend runs/films 42 --preference "comedies, no horror"
    """
    from headrace.cli.building import show_answer

    show_answer(run, user, seed, preference)


@asking_app.command()
def explain(
    run: Run,
    user: Annotated[str, typer.Argument(help="The user's id as it stands in your log.")],
    seed: Seed = 0,
    preference: Preference = None,
) -> None:
    """All there is to say of a user's page: every stage's rank of each item, the rule or fallback that acted, its chance.

    Example:  headrace explain runs/demo 42
    """
    from headrace.cli.building import show_explanation

    show_explanation(run, user, seed, preference)


@asking_app.command()
def steer(
    run: Run,
    wish: Annotated[str, typer.Argument(help='What all of them say they want: "comedies, no horror".')],
    opposite: Annotated[str | None, typer.Option(help='Another wish beside it: "horror, no comedies".')] = None,
    category: Annotated[list[str] | None, typer.Option(help="Looked at too; those a wish names always are.")] = None,
    users: Annotated[int, typer.Option(min=2, help="Drawn from those with a history.")] = 200,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Write the figures to this JSON as well.")] = None,
) -> None:
    """Do pages follow a wish? Shares of categories on the pages of so many users, without it and with it, paired by user.

    Example:  headrace steer runs/films "comedies, no horror" --opposite "horror, no comedies"
    """
    from headrace.cli.wishes import show_steering

    show_steering(run, wish, opposite, category or [], users, seed, out)
