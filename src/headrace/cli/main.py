"""headrace: the command line. Each verb imports what it needs when it is called, so that --help answers at once."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.annotating import annotating_app
from headrace.cli.asking import asking_app
from headrace.cli.benching import bench_app
from headrace.cli.data_sets import data_app
from headrace.cli.experiment import experiment_app
from headrace.cli.founding import founding_app
from headrace.cli.ids import ids_app
from headrace.cli.keys import keys_app
from headrace.cli.planning import planning_app
from headrace.cli.profiling import profiling_app
from headrace.cli.tuning import tuning_app
from headrace.cli.wheel import wheel_app
from headrace.cli.worlds import world_app
from headrace.contracts.errors import HeadraceError

# Threads that spin while they wait take the cores from those that work. It has to be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""
    From a product's logs to a served, measured recommender.

    [bold]Start here[/]   headrace demo                     MovieLens-100K, end to end, in a few minutes
    [bold]Your logs[/]    headrace build shop.toml          import, train every stage, measure, write a report
                 headrace recommend runs/shop 42   one page for user 42, with the reasons

    A shop.toml that works:

        \\[data]
        items = "items.csv"        # item_id, title, categories, ...
        events = "events.parquet"  # user_id, item_id, at, kind

    What every key means: docs/configuration.md. A traceback instead of a short error: headrace --debug VERB.
    """,
)
app.add_typer(asking_app)
app.add_typer(profiling_app)
app.add_typer(data_app, name="data")
app.add_typer(world_app, name="world")
app.add_typer(experiment_app, name="experiment")
app.add_typer(ids_app, name="ids")
app.add_typer(keys_app, name="keys")
app.add_typer(bench_app, name="bench")
app.add_typer(wheel_app)
app.add_typer(planning_app)
app.add_typer(annotating_app)
app.add_typer(tuning_app)
app.add_typer(founding_app)

SLICES = "Also cold and warm users and items, head and tail, categories; coverage, exposure, novelty, diversity."
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the run; runs/NAME by default. Run again: what is there is kept.")
]


def _print_version(asked: bool) -> None:
    if asked:
        from headrace import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def settings(
    debug: Annotated[bool, typer.Option(help="Show tracebacks and the log of every stage.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    if debug:
        os.environ["HEADRACE_DEBUG"] = "1"
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")


@app.command()
def demo(out: Out = None) -> None:
    """MovieLens-100K end to end: import, train, measure against popularity, one answer with reasons.

    Example:  headrace demo --out runs/demo
    """
    from importlib.resources import as_file, files

    from headrace.cli.building import build_and_show

    with as_file(files("headrace.cli") / "demo.toml") as path:
        build_and_show(path, out or Path("runs/demo"), name="demo")


@app.command()
def build(plan: Annotated[Path, typer.Argument(help="Your TOML: where the logs are, which stages.")], out: Out = None) -> None:
    """Import your logs, train every stage, measure it, write report.html and report.json.

    Example:  headrace build shop.toml --out runs/shop
    """
    from headrace.cli.building import build_and_show

    build_and_show(plan, out or Path("runs") / plan.stem, name=plan.stem)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a build, such as runs/demo.")],
    theirs: Annotated[
        Path | None,
        typer.Option("--run", help="Another system's answers, Parquet: request_id (or user_id), item_id, rank (or score)."),
    ] = None,
    requests: Annotated[Path | None, typer.Option(help="Write what has to be answered to this Parquet, and stop.")] = None,
    slices: Annotated[bool, typer.Option("--slices", help=SLICES)] = False,
) -> None:
    """The figures of a build; with --run, another system's answers judged on the same requests.

    Example:  headrace evaluate runs/demo --slices

    Another system: headrace evaluate runs/demo --requests asked.parquet, answer each request, then headrace evaluate runs/demo
    --run answers.parquet.
    """
    from headrace.cli.measuring import show_evaluation

    show_evaluation(run, theirs, requests, slices)


@app.command()
def compare(
    plan: Annotated[Path, typer.Argument(help="Your TOML.")],
    retrieve: Annotated[
        str | None,
        typer.Option(
            help="Retrievers, with commas: popularity, markov, itemknn, ease, two_tower, sasrec, or module:Class. The default: "
            "popularity,itemknn,ease,sasrec."
        ),
    ] = None,
    rank: Annotated[
        str | None, typer.Option(help="Rankers, tests are against the first: dcnv2,dlrm,shared_bottom, or module:Class.")
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option(
            help="Balancers of a ranker of several tasks, tests are against the plain sum: fixed,multibalance,marigold,pcgrad. "
            "The one that the plan names keeps its settings; fixed without weights weighs all tasks 1."
        ),
    ] = None,
    out: Out = None,
    slices: Annotated[bool, typer.Option("--slices", help=SLICES)] = False,
) -> None:
    """Which of these methods wins on your data, and whether the difference is real: one table, intervals, paired tests.

    Of retrievers, rankers or balancers, one kind at a time. What was trained before is not trained again.

    Example:  headrace compare shop.toml --retrieve popularity,itemknn,sasrec

    Example:  headrace compare shop.toml --rank dcnv2,dlrm,masknet

    Example:  headrace compare world.toml --balance fixed,multibalance,marigold,pcgrad
    """
    from headrace.cli.comparing import show_comparison

    show_comparison(plan, {"retrieve": retrieve, "rank": rank, "balance": balance}, out or Path("runs") / plan.stem, slices)


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="A recipe, such as sasrec.")],
    budget: Annotated[str, typer.Option(help="smoke (seconds, checks the machinery), cpu (half an hour) or full.")] = "cpu",
    smoke: Annotated[bool, typer.Option("--smoke", help="The same as --budget smoke.")] = False,
    out: Annotated[Path, typer.Option(help="Keeps each finished cell: a run that is stopped goes on.")] = Path("runs/reproduce"),
    results: Annotated[Path, typer.Option(help="Where NAME.json is written.")] = Path("results"),
    protocol: Annotated[
        list[str] | None, typer.Option(help="Only this split of the recipe's; may be given several times.")
    ] = None,
) -> None:
    """Does this method do what its paper says? Arms, seeds and margin are fixed before the run; the verdict stands as it falls.

    Example:  headrace reproduce sasrec --budget cpu
    """
    from headrace.cli.measuring import show_reproduction

    if budget not in ("smoke", "cpu", "full"):
        raise typer.BadParameter(f'"{budget}" is none of smoke, cpu, full.', param_hint="--budget")
    show_reproduction(name, "smoke" if smoke else budget, out, results, protocol or [])  # type: ignore[arg-type]


@app.command()
def forget(
    run: Annotated[Path, typer.Argument(help="The folder of a build, such as runs/demo.")],
    user: Annotated[str, typer.Argument(help="Whom to forget: the id as it stands in your log.")],
) -> None:
    """Erase a user: their rows go from the stored log, what was made from them is deleted, later imports leave them out.

    What a server wrote goes too, and one that is running knows them no more.

    Example:  headrace forget runs/demo 42
    """
    from headrace.cli.forgetting import forget_user

    forget_user(run, user)


@app.command()
def doctor(
    serving: Annotated[
        Path | None, typer.Option("--serving", help="Look at this run instead: whether it can be served, and safely.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="With --serving: the port it shall listen on.")] = 8765,
) -> None:
    """What is installed, what is missing, and how to get it.

    Example:  headrace doctor

    Example:  headrace doctor --serving runs/shop
    """
    if serving is not None:
        from headrace.cli.serving_doctor import show_serving

        raise typer.Exit(0 if show_serving(serving, port) else 1)
    from headrace.cli.doctor import show

    show()


@app.command()
def serve(
    run: Annotated[Path, typer.Argument(help="The folder of a build, such as runs/demo.")],
    host: Annotated[str, typer.Option(help="127.0.0.1 answers this machine alone; 0.0.0.0 all that reach it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens.")] = 8765,
    log_format: Annotated[str, typer.Option(help="Lines on stderr, one an answer: text, or json for machines.")] = "text",
    anyone: Annotated[bool, typer.Option("--open", help="Listen beyond this machine though there are no keys.")] = False,
    experiment: Annotated[Path | None, typer.Option(help="A sealed plan whose arms name generations of this run.")] = None,
    shadow: Annotated[str | None, typer.Option(help="A generation that answers silently too: its number, or latest.")] = None,
    redis: Annotated[str | None, typer.Option(help="URL of the Redis that several servers share as their state.")] = None,
    redis_password_file: Annotated[Path | None, typer.Option(help="Holds its password; else HEADRACE_REDIS_PASSWORD.")] = None,
    log_events: Annotated[bool | None, typer.Option(help="Whether it may write the event log over Redis, as one does.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that answer; about one a core.")] = None,
) -> None:
    """Answer over HTTP; the API's own pages are at /docs. It follows the run's promotions and rollbacks.

    Example:  headrace serve runs/demo --port 8765

    Example:  headrace serve runs/fly-shop --shadow latest --workers 4

    Example:  headrace serve runs/second --redis redis://10.0.0.7:6379/0 --no-log-events
    """
    from headrace.cli.serving import serve_run

    if log_format not in ("text", "json"):
        raise typer.BadParameter(f'"{log_format}" is none of text, json.', param_hint="--log-format")
    if shadow not in (None, "latest") and not str(shadow).isdigit():
        raise typer.BadParameter(f'"{shadow}" is neither a generation\'s number nor latest.', param_hint="--shadow")
    serve_run(run, host, port, log_format, anyone, experiment, shadow, redis, redis_password_file, log_events, workers)  # type: ignore[arg-type]


def run() -> None:
    """The entry point: a mistake outside our code is one or two lines on stderr and exit code 2, never a traceback."""
    try:
        app()
    except HeadraceError as error:
        if os.environ.get("HEADRACE_DEBUG"):
            raise
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt as stopped:
        again = "Run the same command again to go on: finished stages and checkpoints are kept."
        sys.stderr.write(f"{stopped or 'Stopped.'} {again}\n")
        raise SystemExit(130) from None
