"""[foundation] of the TOML: the folder of what an upstream model knows, for the components that read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, nearest
from headrace.data.splits import SplitConfig

NEED = "foundation"
"""As components name it."""


@config
class Upstream:
    """artifact: what `headrace foundation` wrote, counted from the TOML's folder; None: the plan reads none."""

    artifact: str | None = None


def check_upstream(asked: Upstream, split: SplitConfig, where: str) -> None:
    if asked.artifact is not None and split.by_steps:
        raise ConfigError(
            f'{where} [foundation]: an upstream\'s states have times, and [split] kind = "{split.kind}" counts steps in their '
            'place. Split by time: kind = "global_temporal".'
        )


def need_foundation(what: str, where: str) -> ConfigError:
    return ConfigError(
        f"{where}: {what} reads what an upstream model knows, and there is none. Make one (headrace foundation RUN --out "
        'upstream) and name it: [foundation] artifact = "upstream".'
    )


def anchored(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A TOML's sections with the artifact's whole path, for who builds it in another folder than the TOML's."""
    section = values.get("foundation")
    if not isinstance(section, Mapping) or not isinstance(section.get("artifact"), str):
        return dict(values)
    return {**values, "foundation": {**section, "artifact": str((folder / section["artifact"]).resolve())}}


def upstream_files(asked: Upstream, folder: Path, where: str) -> list[Path]:
    """Of the artifact, in the order of their names; none where the plan reads none. folder: what its path counts from."""
    if asked.artifact is None:
        return []
    found = folder / asked.artifact
    if not found.is_dir():
        beside = [path.name for path in found.parent.iterdir() if path.is_dir()] if found.parent.is_dir() else []
        raise ConfigError(
            f'{where} [foundation]: artifact = "{asked.artifact}" is no folder.{nearest(found.name, beside)} It is what '
            "headrace foundation RUN --out DIR makes."
        )
    return sorted(path for path in found.iterdir() if path.is_file())
