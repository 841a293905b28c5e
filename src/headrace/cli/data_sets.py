"""headrace data: data sets by name."""

from typing import Annotated

import typer

data_app = typer.Typer(no_args_is_help=True, help="Data sets by name: list, get, check.")


@data_app.command("list")
def data_list() -> None:
    """The data sets known by name.

    Example:  headrace data list
    """
    from headrace.cli.data import show_list

    show_list()


@data_app.command("get")
def data_get(name: Annotated[str, typer.Argument(help="One of headrace data list.")]) -> None:
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
