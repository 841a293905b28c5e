"""Typed settings: a frozen dataclass per component, filled from TOML, where an unknown or mistyped key is an error.

@config
class ItemKNNConfig:
    neighbours: Annotated[int, Gt(0)] = 100

parse(ItemKNNConfig, {"neighbors": 50}, where="shop.toml [retrieve.itemknn]")
-> ConfigError: shop.toml [retrieve.itemknn]: "neighbors" is not a key. Did you mean "neighbours"? Keys: neighbours.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar, dataclass_transform, get_args, get_type_hints

from headrace.contracts.errors import ConfigError, listed, nearest

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type[T]) -> type[T]:
    """A frozen, keyword-only dataclass that refuses unknown keys, at every depth."""
    made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    made.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return made


def parse(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Values from TOML as a typed config; `where` (file and section) opens every message."""
    from pydantic import TypeAdapter, ValidationError

    try:
        # JSON mode is strict about types yet reads a TOML array as a tuple.
        return TypeAdapter(kind).validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(kind, one, where) for one in error.errors())) from None


def later(default: T) -> T:
    """A field that a config got when builds of it existed: at its default the config is stored, and keyed, as it was before."""
    found: T = dataclasses.field(default=default, metadata={"later": True})
    return found


def as_dict(settings: Any) -> dict[str, Any]:
    """The resolved config, as a manifest stores it."""
    resolved: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))
    for field in dataclasses.fields(settings):
        if field.metadata.get("later") and getattr(settings, field.name) == field.default:
            del resolved[field.name]
    return resolved


def digest(value: Any) -> str:
    """sha256 over the canonical JSON of a value: equal settings, equal digest."""
    from hashlib import sha256

    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def _explain(kind: type, error: Any, where: str) -> str:
    *path, key = [str(part) for part in error["loc"]] or [""]
    place = where + "".join(f".{part}" for part in path)
    match error["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            keys = _keys(kind, path)
            return f'{place}: "{key}" is not a key.{nearest(key, keys)} Keys: {listed(keys, 20)}.'
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f'{place}: "{key}" is required and not there. Add it.'
        case _:
            return f'{place}: "{key}" is {error["input"]!r}: {_sentence(error["msg"])}'


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ").rstrip(".")
    return message[:1].lower() + message[1:] + "."


def _keys(kind: Any, path: list[str]) -> list[str]:
    for part in path:
        kind = get_type_hints(kind).get(part, kind) if dataclasses.is_dataclass(kind) else kind
        # of an array of tables, where the next part is a row's number, and of a table that may be left out: the table
        kind = next((one for one in get_args(kind) if dataclasses.is_dataclass(one)), kind)
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
