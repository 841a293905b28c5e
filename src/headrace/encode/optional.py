"""A library that only one file here needs, imported when it is used."""

from importlib import import_module
from typing import Any

from headrace.contracts.errors import MissingExtra


def optional(module: str, *, package: str, extra: str, purpose: str) -> Any:
    """The module; MissingExtra says what to install where it is not there."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtra(package, extra, purpose) from None
