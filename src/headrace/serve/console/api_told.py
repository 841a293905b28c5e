"""An OpenAPI as a page shows it: groups of routes, what each takes and answers, an example to begin with, and the words of types.

    POST /v1/recommend  ->  Told(parameters, body, answers, example '{"user_id": "42"}', its curl)

A type is said as Python says it, `list[Shown] | None`; the first schema it names is where its link leads.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from headrace.serve.api.described import needed

_PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_LIMITS = {
    "minimum": "at least {}", "exclusiveMinimum": "above {}", "maximum": "at most {}", "exclusiveMaximum": "below {}",
    "maxLength": "at most {} letters", "maxItems": "at most {} of them",
}  # fmt: skip
_GROUPS = {
    "recommend": "Pages", "events": "Events", "items": "Catalogue", "search": "Search", "explain": "Why", "users": "Users",
    "generations": "Generations", "experiments": "Experiments", "": "Health",
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """schema: the one its type names, "" where it names none. default: as JSON, "" where there is none. where: path or query, ""
    of a body."""

    name: str
    kind: str
    schema: str
    required: bool
    default: str
    says: str
    where: str = ""


@dataclass(frozen=True)
class Answered:
    status: str
    says: str
    kind: str
    schema: str
    headers: list[str]


@dataclass(frozen=True)
class Told:
    """needs: the scope, None where whoever asks is answered. body: None where it takes none. example: of the body, "" of none."""

    method: str
    path: str
    anchor: str
    summary: str
    needs: str | None
    parameters: list[Field]
    body: Field | None
    fields: list[Field]
    answers: list[Answered]
    example: str
    curl: str


@dataclass(frozen=True)
class Group:
    name: str
    routes: list[Told]

    @property
    def anchor(self) -> str:
        return self.name.lower()


class Pages:
    """base: where the server was asked, for the examples."""

    def __init__(self, spec: Mapping[str, Any], base: str):
        self.spec, self.base, self.schemas = spec, base.rstrip("/"), spec.get("components", {}).get("schemas", {})

    def groups(self) -> list[Group]:
        found: dict[str, list[Told]] = {}
        for path, methods in self.spec["paths"].items():
            first = path.removeprefix("/v1/").split("/")[0] if path.startswith("/v1/") else ""
            for method, one in methods.items():
                found.setdefault(_GROUPS.get(first, first), []).append(self.told(method, path, one))
        return [Group(name, routes) for name, routes in sorted(found.items(), key=lambda pair: _place(pair[0]))]

    def told(self, method: str, path: str, one: Mapping[str, Any]) -> Told:
        parameters = [self._field(p["name"], p, p["schema"], p["required"], p["in"]) for p in one.get("parameters", ())]
        content = _schema(one.get("requestBody", {}))
        body = None if content is None else self._field("body", content, content, True)
        example = "" if content is None else json.dumps(self.example(content), ensure_ascii=False, indent=2)
        flat = [] if body is None or not body.schema else self.fields(body.schema)
        return Told(
            method.upper(), path, f"{method}-{quote(path.strip('/').replace('/', '-'), safe='')}", one.get("summary", ""),
            needed(method, path), parameters, body, flat, list(self._answers(one["responses"])), example,
            self._curl(method, path, one, example),
        )  # fmt: skip

    def named(self) -> dict[str, tuple[str, list[Field]]]:
        """Of each schema that has fields: what it says, and they."""
        return {
            name: (one.get("description", ""), self.fields(name))
            for name, one in sorted(self.schemas.items())
            if one.get("properties")
        }

    def fields(self, name: str) -> list[Field]:
        one = self.schemas[name]
        required = one.get("required", ())
        return [self._field(field, of, of, field in required) for field, of in one.get("properties", {}).items()]

    def kind(self, schema: Mapping[str, Any]) -> str:
        if "$ref" in schema:
            return _name(schema)
        if several := schema.get("anyOf") or schema.get("oneOf"):
            return " | ".join(dict.fromkeys(self.kind(one) for one in several))
        if options := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
            return " | ".join(json.dumps(one, ensure_ascii=False) for one in options)
        if parts := schema.get("prefixItems"):
            return f"[{', '.join(self.kind(one) for one in parts)}]"
        match schema.get("type"):
            case "array":
                return f"list[{self.kind(schema.get('items', {}))}]"
            case "object":
                more = schema.get("additionalProperties")
                return f"map[{self.kind(more)}]" if isinstance(more, dict) else "map"
            case "string" if schema.get("format") == "date-time":
                return "time"
            case plain:
                return _PLAIN.get(plain or "", "anything")

    def example(self, schema: Mapping[str, Any]) -> Any:
        """What it may be: what its author gave, else the least that is taken."""
        if schema.get("examples"):
            return schema["examples"][0]
        if "$ref" in schema:
            one = self.schemas[_name(schema)]
            required = one.get("required", ())
            return {name: self.example(of) for name, of in one.get("properties", {}).items() if name in required}
        if several := schema.get("anyOf") or schema.get("oneOf"):
            return self.example(several[0])
        if schema.get("type") == "array":
            return [self.example(schema["items"])] if schema.get("minItems") else []
        fallback = {"string": "42", "integer": 1, "number": 1.0, "boolean": False, "object": {}}.get(schema.get("type", ""))
        return schema.get("default", fallback)

    def _field(self, name: str, told: Mapping[str, Any], schema: Mapping[str, Any], required: bool, where: str = "") -> Field:
        default = json.dumps(schema["default"], ensure_ascii=False) if not required and "default" in schema else ""
        says = [told.get("description", "") if "$ref" not in told else "", _limits(schema)]
        target = next((one for one in _refs(schema) if self.schemas[one].get("properties")), "")
        return Field(name, self.kind(schema), target, required, default, " ".join(filter(None, says)), where)

    def _answers(self, responses: Mapping[str, Any]) -> Iterator[Answered]:
        for status, answer in responses.items():
            content = _schema(answer) or {}
            target = next((one for one in _refs(content) if self.schemas[one].get("properties")), "")
            says = "As asked" if answer["description"] == "Successful Response" else answer["description"]
            yield Answered(status, says, self.kind(content) if content else "", target, list(answer.get("headers", ())))

    def _curl(self, method: str, path: str, one: Mapping[str, Any], example: str) -> str:
        there = path
        for parameter in one.get("parameters", ()):
            there = there.replace(f"{{{parameter['name']}}}", "1" if parameter["schema"].get("type") == "integer" else "42")
        parts = ["curl", *([] if method == "get" else ["-X", method.upper()]), shlex.quote(self.base + there)]
        if needed(method, path) is not None:
            parts += ["\\\n ", "-H", '"Authorization: Bearer $KEY"']
        if example:
            body = json.dumps(json.loads(example), ensure_ascii=False)
            parts += ["\\\n ", "-H", "'Content-Type: application/json'", "-d", shlex.quote(body)]
        return " ".join(parts)


def _place(group: str) -> int:
    known = list(_GROUPS.values())
    return known.index(group) if group in known else len(known)


def _schema(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    content: Mapping[str, Any] = next(iter(part.get("content", {}).values()), {})
    found: Mapping[str, Any] | None = content.get("schema")
    return found or None


def _refs(schema: Any) -> Iterator[str]:
    """Names of the schemas in it, the first first; not what those are made of."""
    if isinstance(schema, Mapping) and "$ref" in schema:
        yield _name(schema)
    else:
        for one in schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ():
            yield from _refs(one)


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _limits(schema: Mapping[str, Any]) -> str:
    """Of the type itself, or of the first that it may be."""
    several = schema.get("anyOf") or schema.get("oneOf")
    one = several[0] if several else schema
    found = [words.format(_counted(one[name])) for name, words in _LIMITS.items() if one.get(name)]
    return f"({', '.join(found)})" if found else ""


def _counted(limit: float) -> str:
    return f"{int(limit) if limit == int(limit) else limit:,}"
