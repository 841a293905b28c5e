"""Short names and import paths to the classes behind them.

An import path is used only when the user's own TOML has it: opening a stored generation runs no code that the TOML did not name.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from headrace.contracts.errors import ConfigError, listed, nearest


def component_class(name: str, table: Mapping[str, str], where: str, trusted: Iterable[str] = ()) -> Any:
    """The class behind a short name of the table, or behind an import path "package.module:Class" that is trusted."""
    path = table.get(name)
    if path is None and ":" in name:
        if name not in trusted:
            raise ConfigError(f'{where}: "{name}" is an import path that your TOML does not list, so it is not loaded.')
        path = name
    if path is None:
        raise ConfigError(
            f'{where}: "{name}" is not known here.{nearest(name, table)} Known: {listed(sorted(table))}, '
            'or an import path "package.module:Class".'
        )
    module, _, attribute = path.partition(":")
    try:
        kind = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f'{where}: "{path}" can\'t be imported ({error}).') from error
    if not (isinstance(kind, type) and hasattr(kind, "Config") and hasattr(kind, "revision")):
        raise ConfigError(f'{where}: "{path}" is not a component: expected a class with Config and revision (CONTRIBUTING.md).')
    return kind
