"""Fitted components to and from artifacts, by the names and settings their stage gave them."""

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.contracts.components import component_class as component_class
from headrace.contracts.config import as_dict, parse

FILE = "component.safetensors"


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
