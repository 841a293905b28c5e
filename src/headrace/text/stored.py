"""A tokenizer on disk: one JSON file with its definition and the hash of it. Nothing in it is run."""

import json
from pathlib import Path
from typing import Any

from headrace.artifacts.atomic import place
from headrace.contracts.config import digest, parse
from headrace.contracts.errors import ArtifactError, ConfigError
from headrace.text.config import TokenizerConfig

FORMAT = 1


def save(path: Path, definition: dict[str, Any]) -> None:
    place(path, json.dumps({"format": FORMAT, "hash": digest(definition), **definition}, ensure_ascii=False) + "\n")


def load(path: Path, expected: str | None) -> tuple[TokenizerConfig, dict[str, Any]]:
    """Settings, and what was learned."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version, named, settings, model = (found[key] for key in ("format", "hash", "config", "model"))
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error.strerror}). Train the tokenizer, and save it there.") from None
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{path}: is no tokenizer, or cut short. Save it anew.") from None
    if version != FORMAT:
        raise ArtifactError(f"{path}: has format {version}, this Headrace reads {FORMAT}. Use the Headrace that wrote it.")
    actual = digest({"config": settings, "model": model})
    if actual != named:
        raise ArtifactError(f"{path}: its contents have hash {actual}, it says {named}: it was changed. Save it anew.")
    if expected is not None and expected != actual:
        raise ArtifactError(f"{path}: is tokenizer {actual}, expected {expected}. Ids of one mean nothing to the other.")
    try:
        return parse(TokenizerConfig, settings, where=str(path)), model
    except ConfigError as error:
        raise ArtifactError(str(error)) from None
