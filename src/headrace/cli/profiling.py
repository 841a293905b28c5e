"""headrace profile: who a user is to a build, in words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from headrace.cascade.profile import Profile

profiling_app = typer.Typer()


@profiling_app.command()
def profile(
    run: Annotated[Path, typer.Argument(help="The folder of a build, such as runs/demo.")],
    user: Annotated[str, typer.Argument(help="The user's id as it stands in your log.")],
    at: Annotated[
        str | None, typer.Option(help="As of a moment, such as 2026-01-31 or 2026-01-31T12:00+01:00; UTC without a zone.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Who is this user to the cascade? Their events, sessions (30 minutes without an event end one), categories, agents, summary.

    Agents are the interests that a ranker such as hisac reads a user as: each with its codes in words, the share of events
    behind it, its weight (1 on average) and its newest items. A ranker that reads words, such as spar or embsum, says in which
    words it reads the user. Other rankers have neither; the rest is said all the same.

    Example:  headrace profile runs/demo 42

    As they were:  headrace profile runs/demo 42 --at 1998-01-31
    """
    import json
    from dataclasses import asdict

    from headrace.cascade.profile import profile as profile_of
    from headrace.flywheel.opened import open_live

    found = profile_of(open_live(run), user, None if at is None else _moment(at))
    if as_json:
        said = {"summary": found.summary, **asdict(found)}
        typer.echo(json.dumps(said, indent=1, default=lambda moment: moment.isoformat()))
    else:
        _show(found)


def _moment(said: str) -> "datetime":
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        raise typer.BadParameter(
            f'"{said}" is no moment. Write a date or a time as in 2026-01-31 or 2026-01-31T12:00Z.', param_hint="--at"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _show(found: "Profile") -> None:
    from headrace.cli.drawing import page

    console = page()

    def line(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    line(found.summary)
    if found.reads_as:
        line(f"{found.ranker} reads them as: {found.reads_as}")
    if found.first is not None:
        line(f"\nEvents    {found.events:,}, first {found.first:%Y-%m-%d %H:%M}, last {found.last:%Y-%m-%d %H:%M} UTC")
        line(f"Sessions  {found.sessions:,}, of {found.session_events:g} events in the median; the last of them:")
        for session in found.last_sessions:
            line(f"  {session.began:%Y-%m-%d %H:%M}  {_some(session.titles)}")
    if found.categories:
        line("\nCategories, by share of events")
        for name, share in found.categories.items():
            line(f"  {share:>4.0%}  {name}")
    if found.agents:
        line(f"\nAgents of {found.ranker}, from the newest {found.read:,} events")
        for agent in found.agents:
            votes = f"{agent.votes:,} vote" + ("" if agent.votes == 1 else "s")
            line(f"  {agent.codes}: {votes} ({agent.share:.0%}), weight {agent.weight:.2f}")
            line(f"      {_some(agent.newest)}")
    for note in found.notes:
        line(f"\n{note[0].upper()}{note[1:]}")


def _some(titles: list[str], most: int = 8) -> str:
    """The newest, where there are many."""
    earlier = len(titles) - most
    return "; ".join(titles[-most:]) + (f"; and {earlier:,} before" if earlier > 0 else "")
