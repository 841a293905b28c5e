"""Errors for the people who feed Headrace: what was received, what was expected, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class HeadraceError(Exception):
    """A mistake outside our code (a file, a row, a key). The command line prints it as it is, without a traceback."""


class DataError(HeadraceError):
    """Rows or files that break a contract."""


class ConfigError(HeadraceError):
    """A TOML key or value that can't be used."""


class ArtifactError(HeadraceError):
    """A stored result that is missing, damaged or of a newer format."""


class MissingExtra(HeadraceError):
    """An optional library is not installed."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs {package}, which is not installed. Install it with: pip install 'headrace[{extra}]'")


def no_build(folder: Path) -> ConfigError:
    """The folder of a run that is none."""
    close = nearest(folder.name, [path.parent.name for path in folder.parent.glob("*/plan.json")])
    return ConfigError(f"{folder}: no build is there (it has no plan.json).{close} Make one: headrace build shop.toml.")


def nearest(name: str, options: Iterable[str]) -> str:
    """' Did you mean "retrieve"?' when one of the options is close to the name, else ''."""
    by_lower = {option.lower(): option for option in options}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f' Did you mean "{by_lower[close[0]]}"?' if close else ""


def listed(options: Iterable[str], limit: int = 12) -> str:
    """The options in order, cut with a count when there are too many to read."""
    names = list(options)
    tail = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + tail
