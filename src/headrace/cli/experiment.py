"""The verbs of experiments: plan, start, analyse. Each imports what it needs when it is called."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

experiment_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""
    Online experiments: how many units, sealed before the start, read with the error rates that were promised.

    headrace experiment plan --baseline 0.04 --mde 0.05 --out ranker.toml

    headrace experiment start ranker.toml

    headrace experiment analyse exposures.csv outcomes.csv --plan ranker.toml

    What a plan may say, and how to read a result: docs/experiments.md.
    """,
)

PlanFile = Annotated[Path, typer.Argument(help="The plan's TOML.")]


@experiment_app.command()
def plan(
    baseline: Annotated[
        float, typer.Option(help="Control's value of the primary metric: a share of units, or with --sd a mean.")
    ],
    mde: Annotated[float, typer.Option(help="The least change worth shipping, relative to the baseline: 0.05 is 5% of it.")],
    sd: Annotated[
        float | None, typer.Option(help="For a mean or a ratio: the standard deviation between units. Without it: a share.")
    ] = None,
    rho: Annotated[float, typer.Option(help="Correlation with the same metric before exposure (CUPED); 0 without.")] = 0.0,
    alpha: Annotated[float, typer.Option(help="Two-sided error rate.")] = 0.05,
    power: Annotated[float, typer.Option(help="Chance to see a change of that size.")] = 0.8,
    arms: Annotated[int, typer.Option(min=2, help="Arms, control included, of equal size.")] = 2,
    primaries: Annotated[int, typer.Option(min=1, help="Primary metrics, one of which is enough to ship.")] = 1,
    looks: Annotated[int, typer.Option(min=2, help="Looks, for the designs that have several.")] = 5,
    daily_units: Annotated[float | None, typer.Option(help="New units a day, all arms together: gives the days.")] = None,
    window_days: Annotated[float, typer.Option(help="How long after its exposure a unit's outcomes count.")] = 7.0,
    design: Annotated[str, typer.Option(help="What --out writes: fixed, group_sequential or confidence_sequence.")] = "fixed",
    out: Annotated[Path | None, typer.Option(help="Write a plan to fill in; never over a file that is there.")] = None,
) -> None:
    """How many units and days: a table over the three designs.

    Example:  headrace experiment plan --baseline 0.04 --mde 0.05 --daily-units 20000
    """
    from headrace.cli.experiment_sizes import Asked, show_sizes, write_plan

    asked = Asked(
        baseline=baseline, mde=mde, sd=sd, rho=rho, alpha=alpha, power=power, arms=arms, primaries=primaries, looks=looks,
        daily_units=daily_units, window_days=window_days,
    )  # fmt: skip
    show_sizes(asked)
    if out is not None:
        write_plan(asked, design, out)


@experiment_app.command()
def start(plan: PlanFile) -> None:
    """Seal a plan before its first unit is exposed: an analysis refuses a plan that was changed since.

    Example:  headrace experiment start ranker.toml
    """
    from headrace.flywheel.experiment.plan import read_plan
    from headrace.flywheel.experiment.record import opened, record_path, write
    from headrace.flywheel.experiment.record import start as sealed

    read, path = read_plan(plan), record_path(plan)
    if path.exists():
        typer.echo(f"{read.experiment} was started on {opened(path, read).started_at} and stands as it was.")
        return
    record = sealed(read)
    write(record, path)
    typer.echo(f"{read.experiment} starts: sealed in {path} at {record.started_at} (plan {record.digest[:12]}).")


@experiment_app.command()
def analyse(
    exposures: Annotated[Path, typer.Argument(help="experiment_id, unit_id, unit_kind, arm, first_at.")],
    outcomes: Annotated[Path, typer.Argument(help="unit_id, at, and the plan's columns: events or daily totals.")],
    plan: Annotated[Path, typer.Option(help="The plan's TOML, as it was started.")],
    timezone: Annotated[str | None, typer.Option(help="Of times without one, such as UTC.")] = None,
    as_of: Annotated[datetime | None, typer.Option(help="End of the data, UTC; the latest time in it by default.")] = None,
    last: Annotated[
        bool, typer.Option("--last", help="The experiment ends here, short of its units, for a reason other than its results.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures and checks there, too.")] = None,
) -> None:
    """What came of it: differences with intervals, guardrails, and whether to ship, hold or stop. Each look is recorded.

    Example:  headrace experiment analyse exposures.parquet outcomes.parquet --plan ranker.toml
    """
    from datetime import UTC

    from headrace.artifacts.atomic import place
    from headrace.flywheel.experiment import printing
    from headrace.flywheel.experiment.analysis import analyse as analysed
    from headrace.flywheel.experiment.plan import read_plan
    from headrace.flywheel.experiment.reading import read_exposures, read_outcomes
    from headrace.flywheel.experiment.record import opened, record_path, with_look, write

    read, path = read_plan(plan), record_path(plan)
    record = opened(path, read)
    end = None if as_of is None else as_of.replace(tzinfo=UTC)
    found = analysed(read, record, read_exposures(exposures, timezone), read_outcomes(outcomes, timezone), as_of=end, last=last)
    # recorded before it is shown: a look that was seen counts, whatever happens next
    if found.look is not None:
        write(with_look(record, found.look), path)
    if out is not None:
        place(out, json.dumps(printing.as_dict(found), indent=1, allow_nan=False) + "\n")
    typer.echo(printing.text(found))
