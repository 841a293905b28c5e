"""From what a model said to an object that meets its schema, or to the reason why it does not.

    Wanted({"type": "object", "required": ["hot"], ...}).read('Sure: {"hot": true}.')  ->  {"hot": True}

The first JSON object of the text counts, whatever stands around it (talk, a code fence). Nothing is mended: no value is changed,
nothing is closed that was cut off, and a text that broke off inside its object has none, even where a smaller one in it is whole.
"""

import json
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NoReturn

from headrace.contracts.chat import Schema
from headrace.contracts.errors import ConfigError
from headrace.encode.optional import optional

_REASON_CHARACTERS = 300
_PIECES = 1000  # each broken piece costs a pass over the text to say where it broke


class NoObject(Exception):
    """reason: why there is none, for us. told: the same for the model, in words of ours and of the schema alone; what an item's
    text made the model write must not come back to it as our instruction."""

    def __init__(self, reason: str, told: str | None = None):
        super().__init__(_cut(reason))
        self.told = _cut(told or reason)


class Wanted:
    """schema: of an object, checked itself first. `$ref` reaches only into the schema: one that leads nowhere is refused here,
    before anybody is asked."""

    def __init__(self, schema: Schema):
        self.schema = dict(schema)
        jsonschema = optional("jsonschema", package="jsonschema", extra="llm", purpose="An answer by a schema")
        if self.schema.get("type") != "object":
            raise ConfigError(f'A schema has type {self.schema.get("type")!r}, expected "object": wrap the rest in one.')
        kind = jsonschema.Draft202012Validator
        try:
            kind.check_schema(self.schema)
            self.text = json.dumps(self.schema)  # in the caller's order: a model writes its reasons before its verdict, or not
        except (jsonschema.SchemaError, TypeError, ValueError) as error:
            raise ConfigError(
                f"A schema is none: {getattr(error, 'message', error)}. See json-schema.org, draft 2020-12."
            ) from None
        referencing = optional("referencing", package="referencing", extra="llm", purpose="")
        registry = referencing.Registry()
        resolver = registry.resolver_with_root(referencing.jsonschema.DRAFT202012.create_resource(self.schema))
        for reference in _references(self.schema):
            try:
                resolver.lookup(reference)
            except referencing.exceptions.Unresolvable:
                raise ConfigError(f'A schema\'s $ref "{reference}" leads nowhere. Put what it names under $defs.') from None
        self._validator = kind(self.schema, registry=registry)

    @cached_property
    def instruction(self) -> str:
        return f"Answer with one JSON object and nothing else. It must meet this JSON schema:\n{self.text}"

    def read(self, text: str) -> Mapping[str, Any]:
        """Raises NoObject."""
        found = first_object(text)
        try:
            errors = list(self._validator.iter_errors(found))
        except RecursionError:
            raise NoObject("the schema asks for itself without end, or the object is nested too deeply") from None
        worst = min(errors, key=lambda error: (len(error.path), str(error.path)), default=None)
        if worst is not None:
            where = ".".join(str(part) for part in worst.absolute_path)
            rule = ".".join(str(part) for part in worst.absolute_schema_path)
            told = f"the schema says {rule}: {json.dumps(worst.validator_value)}, and the object does not meet this"
            raise NoObject(f"{where}: {worst.message}" if where else worst.message, told)
        return found


def first_object(text: str) -> dict[str, Any]:
    """Raises NoObject. A piece that looked like one and was not is left behind whole, so that none is found inside it."""
    text = text.rstrip()
    start, broken = text.find("{"), "there is no JSON object"
    for _ in range(_PIECES):
        if start < 0:
            break
        try:
            return _DECODER.raw_decode(text, start)[0]  # type: ignore[no-any-return]
        except json.JSONDecodeError as error:
            broken = f"{error.msg} at character {error.pos}"
            if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
                raise NoObject(f"the JSON object breaks off: {broken}") from None
            start = text.find("{", max(error.pos, start + 1))
        except (_Refused, ValueError, RecursionError) as error:
            raise NoObject(str(error) or "the JSON object is nested too deeply", "the JSON object holds what none may") from None
    raise NoObject(broken)


def _references(schema: object) -> Iterator[str]:
    """Of all parts but those that are values rather than schemas."""
    if isinstance(schema, Mapping):
        for key, inner in schema.items():
            if key == "$ref" and isinstance(inner, str):
                yield inner
            elif key not in ("const", "enum", "default", "examples"):
                yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


class _Refused(Exception):
    pass


def _refused(constant: str) -> NoReturn:
    raise _Refused(f"{constant} is no JSON value")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise _Refused(f"{number[:40]} is too large a number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Refused(f'"{next(name for name in names if names.count(name) > 1)}" stands there twice')
    return found


def _cut(reason: str) -> str:
    return reason if len(reason) <= _REASON_CHARACTERS else f"{reason[:_REASON_CHARACTERS]}…"


_DECODER = json.JSONDecoder(parse_constant=_refused, parse_float=_finite, object_pairs_hook=_once)
