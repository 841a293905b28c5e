"""headrace: the command line. Each verb imports what it needs when it is called, so that --help answers at once."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from headrace.contracts.errors import HeadraceError

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
data_app = typer.Typer(no_args_is_help=True, help="Data sets by name: list, get, check.")
app.add_typer(data_app, name="data")

Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the run; runs/NAME by default. Run again: what is there is kept.")
]


@app.callback()
def settings(
    debug: Annotated[bool, typer.Option(help="Show tracebacks and the log of every stage.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from headrace import __version__

        typer.echo(__version__)
        raise typer.Exit
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
def recommend(
    run: Annotated[Path, typer.Argument(help="The folder of a build, such as runs/demo.")],
    user: Annotated[str, typer.Argument(help="The user's id as it stands in your log; an unknown one gets the fallback.")],
    seed: Annotated[int, typer.Option(help="Another seed, another draw of the exploring page.")] = 0,
) -> None:
    """One page for a user as of the end of the log, with the reason each item is there.

    Example:  headrace recommend runs/demo 42
    """
    from headrace.cli.building import show_answer

    show_answer(run, user, seed)


@app.command()
def serve(
    run: Annotated[Path, typer.Argument(help="The folder of a build, such as runs/demo.")],
    host: Annotated[str, typer.Option(help="127.0.0.1 answers this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8765,
) -> None:
    """Answer over HTTP; the API's own pages are at /docs.

    Example:  headrace serve runs/demo --port 8765
    """
    from headrace.cli.serving import serve_run

    serve_run(run, host, port)


@data_app.command("list")
def data_list() -> None:
    """The data sets known by name.

    Example:  headrace data list
    """
    from headrace.cli.data import show_list

    show_list()


@data_app.command("get")
def data_get(name: str) -> None:
    """Fetch a data set into the cache and say where it lies. HEADRACE_DATA is looked in first.

    Example:  headrace data get movielens-100k
    """
    from headrace.cli.data import get

    get(name)


@data_app.command("check")
def data_check(path: Annotated[str, typer.Argument(help="A data set's name, or a folder with its tables.")]) -> None:
    """Whether a folder's tables are whole and what is in them.

    Example:  headrace data check movielens-100k
    """
    from headrace.cli.data import check

    check(path)


def run() -> None:
    """The entry point: a mistake outside our code is one or two lines on stderr and exit code 2, never a traceback."""
    try:
        app()
    except HeadraceError as error:
        if os.environ.get("HEADRACE_DEBUG"):
            raise
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. Run the same command again to go on: finished stages and checkpoints are kept.\n")
        raise SystemExit(130) from None
