"""[ids] of the TOML: how items get their semantic ids, for the retrievers that read them."""

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Gt

from headrace.contracts.config import config, parse
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.encode.semantic_ids import QUANTISERS

_OURS = ("levels", "codes")


@config
class Ids:
    """method: residual_kmeans, rqvae, or an import path "package.module:Class". codes: symbols a level.

    A level more tells apart items whose codes are equal.
    """

    method: str = "residual_kmeans"
    levels: Annotated[int, Gt(0)] = 3
    codes: Annotated[int, Gt(1)] = 256


def ids_section(section: Mapping[str, Any], where: str) -> tuple[Ids, dict[str, dict[str, Any]]]:
    """The section's own keys, and the settings of the method by its name; levels and codes are among them."""
    parts = {name: value for name, value in section.items() if isinstance(value, Mapping)}
    ids = parse(Ids, {name: value for name, value in section.items() if name not in parts}, where=f"{where} [ids]")
    for name, part in parts.items():
        if name not in QUANTISERS and name != ids.method:
            raise ConfigError(
                f"{where}: [ids.{name}] is not a method.{nearest(name, QUANTISERS)} Methods: {listed(sorted(QUANTISERS))}."
            )
        misplaced = [key for key in _OURS if key in part]
        if misplaced:
            raise ConfigError(
                f"{where} [ids.{name}]: {listed(misplaced)} stands in [ids], for every method alike. Move it there."
            )
    method = {**parts.get(ids.method, {}), "levels": ids.levels, "codes": ids.codes}
    return ids, {**{name: dict(part) for name, part in parts.items()}, ids.method: method}


def need_item_vectors(what: str, where: str) -> ConfigError:
    return ConfigError(
        f'{where}: {what} needs vectors of what items say, and there are none. Set [features] item_vectors = "tfidf" '
        '(or "minilm", with the extra "text").'
    )
