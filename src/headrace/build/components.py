"""Short names and import paths to classes, and fitted components to and from artifacts.

An import path is used only when the user's own TOML has it: opening a stored generation runs no code that the TOML did not name.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError, listed, nearest

FILE = "component.safetensors"


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


def settings_of(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    """The component's typed config from its TOML section."""
    return parse(kind.Config, values, where=where)


def save_component(draft: Draft, component: Any) -> None:
    save_arrays(draft.path / FILE, component.arrays())


def load_component(artifact: Artifact, table: Mapping[str, str], trusted: Iterable[str] = ()) -> Any:
    """Name and settings stand in the manifest, arrays beside it."""
    name, settings = artifact.manifest.config["component"], artifact.manifest.config["settings"]
    kind = component_class(name, table, str(artifact.path), trusted)
    return kind.from_arrays(parse(kind.Config, settings, where=str(artifact.path)), load_arrays(artifact.path / FILE))


def described(name: str, settings: Any, **more: Any) -> dict[str, Any]:
    """The config part of a component's key."""
    return {"component": name, "settings": as_dict(settings), **more}
