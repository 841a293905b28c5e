"""src/headrace/client's asked, answers, running and calls from the server's OpenAPI. With --check, says whether they are stale.

A schema is a frozen dataclass, a route a method of Client, and the fields of a body that is one object its arguments. The routes
describe themselves without a build: nothing of `Serving` is asked before a request comes. A body that may have further keys is a
mapping, which can tell a key that is null from one that is not sent.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Any, cast
from unittest.mock import Mock

from fastapi import FastAPI

from headrace.serve.api.described import described
from headrace.serve.app import ROUTES
from headrace.serve.guard.scopes import scope_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "src" / "headrace" / "client"
MADE_BY = "Made by docs/make_client.py from the server's OpenAPI; not to be edited."
ITSELF = ("/v1/generations", "/v1/experiments", "/v1/users", "/readyz")  # where the server speaks of itself
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
RAISED = {"404": "NotThere", "409": "Refused"}  # what a route has of its own; the class says what may come of any
Schema = dict[str, Any]


class Writer:
    def __init__(self, spec: Schema):
        self.spec, self.schemas = spec, spec["components"]["schemas"]
        self.operations = [
            (method.upper(), path, one) for path, methods in spec["paths"].items() for method, one in methods.items()
        ]
        flat = {_named(_body(one)) for *_, one in self.operations}  # their fields are arguments
        sent = self.reached([_body(one) for *_, one in self.operations])
        self.asked = [name for name in dict.fromkeys(sent) if not self.open(name) and name not in flat]
        of_pages, of_itself = (
            dict.fromkeys(self.reached([_answer(one) for _, path, one in self.operations if path.startswith(ITSELF) == of]))
            for of in (False, True)
        )
        self.answers = [name for name in of_pages if name not in self.asked]
        self.running = [name for name in of_itself if name not in self.asked + self.answers]

    def open(self, name: str) -> bool:
        return self.schemas[name].get("additionalProperties") is True

    def reached(self, schema: Any) -> Iterator[str]:
        """Names of the schemas in it, whatever the depth, those first that others have in them."""
        name = _named(schema)
        inside = [self.schemas[name]] if name else schema.values() if isinstance(schema, dict) else schema
        for one in inside if isinstance(schema, (dict, list)) else ():
            yield from self.reached(one)
        if name and "properties" in self.schemas[name]:
            yield name

    def kind(self, schema: Schema, sent: bool) -> str:
        """As Python writes it. sent: what a caller makes, where any sequence and mapping will do."""
        if name := _named(schema):
            if "properties" not in self.schemas[name]:
                return self.kind(self.schemas[name], sent)
            return "Mapping[str, Any]" if sent and self.open(name) else name
        if several := schema.get("anyOf") or schema.get("oneOf"):
            kinds = dict.fromkeys(self.kind(one, sent) for one in several)
            return " | ".join(sorted(kinds, key=lambda one: one == "None"))
        if options := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
            return f"Literal[{', '.join(map(repr, options))}]"
        if parts := schema.get("prefixItems"):
            return f"tuple[{', '.join(self.kind(one, sent) for one in parts)}]"
        match schema.get("type"):
            case "array":
                return f"{'Sequence' if sent else 'list'}[{self.kind(schema.get('items', {}), sent)}]"
            case "object":
                more = schema.get("additionalProperties")
                inner = self.kind(more, sent) if isinstance(more, dict) else "Any"
                return f"{'Mapping' if sent else 'dict'}[str, {inner}]"
            case "string" if schema.get("format") == "date-time":
                return "datetime"
            case plain:
                return PLAIN.get(plain or "", "Any")

    def fields(self, schema: Schema, sent: bool) -> list[tuple[str, str, str | None, str]]:
        """(name, type, default or None where it is required, what it says), those required first."""
        found = []
        for name, one in schema.get("properties", {}).items():
            kind, default = self.kind(one, sent), None
            if name not in schema.get("required", ()):
                default = "()" if one.get("default") == [] and sent else repr(one.get("default"))
                kind = f"{kind} | None" if default == "None" and "None" not in kind.split(" | ") and kind != "Any" else kind
            found.append((name, kind, default, one.get("description", "")))
        return sorted(found, key=lambda field: field[2] is not None)

    def dataclasses(self, names: list[str], sent: bool) -> str:
        parts = []
        for name in names:
            schema = self.schemas[name]
            fields = self.fields(schema, sent)
            told = [f"{field}: {says}" for field, _, _, says in fields if says]
            told = [schema["description"], *told] if "description" in schema else told
            lines = [_docstring(told, 4)] if told else []
            for field, kind, default, _ in fields:
                made = f"field(default_factory={default.replace('[]', 'list')})" if default == "[]" else default
                lines.append(f"    {field}: {kind}" + ("" if made is None else f" = {made}"))
            parts.append(f"@dataclass(frozen=True, kw_only=True)\nclass {name}:\n" + "\n".join(lines))
        return "\n\n\n".join(parts)

    def call(self, method: str, path: str, one: Schema) -> str:
        name, body = one["operationId"], _body(one)
        needs = scope_of(method, path.replace("{", "").replace("}", ""))[1]
        again = "True" if method in ("GET", "PUT", "DELETE") or needs == "read" else "False"
        arguments: list[tuple[str, str, str | None, str]] = []
        passed = []
        if (whole := _named(body)) and not self.open(whole):
            fields = self.fields(self.schemas[whole], sent=True)
            values = ((field, "request_id or uuid4().hex" if field == "request_id" else field) for field, *_ in fields)
            passed.append("body=given({" + ", ".join(f'"{field}": {value}' for field, value in values) + "})")
            arguments += fields
        elif body:
            arguments.append(("sent", self.kind(body, sent=True), None, ""))
            passed.append("body=sent")
            if any("event_id" in self.schemas[inner]["properties"] for inner in self.reached(body)):
                again = 'all_have("event_id", sent)'
        queries, numbers = [], set()
        for parameter in one.get("parameters", ()):
            kind = self.kind(parameter["schema"], sent=True)
            default = None if parameter["required"] else repr(parameter["schema"].get("default"))
            arguments.append((parameter["name"], kind, default, parameter.get("description", "")))
            queries += [parameter["name"]] if parameter["in"] == "query" else []
            numbers |= {f"{{{parameter['name']}}}"} if kind == "int" else set()
        if queries:
            passed.append("query={" + ", ".join(f'"{query}": {query}' for query in queries) + "}")
        also = [int(code) for code, answer in one["responses"].items() if code > "3" and _schema(answer) == _answer(one)]
        passed += [f"again={again}"] + ([f"also={tuple(also)}"] if also else [])
        there = re.sub(r"\{(\w+)\}", lambda found: plain if (plain := found[0]) in numbers else f"{{part({found[1]})}}", path)
        kind = self.kind(_answer(one), sent=False) if _answer(one) else "str"
        may = [f"{field}: {of} = {default}" for field, of, default, _ in arguments if default is not None]
        signature = [
            "self",
            *(f"{field}: {of}" for field, of, default, _ in arguments if default is None),
            *["*"] * bool(may),
            *may,
        ]
        told = [f"{field}: {says}" for field, _, _, says in arguments if says]
        told += [f"{kind}: {one['responses'][code]['description']}." for code, kind in RAISED.items() if _refuses(one, code)]
        return (
            f"    def {name}({', '.join(signature)}) -> {kind}:\n"
            + _docstring([f"{one['summary']}.", *told], 8)
            + f'\n        return self._call("{method}", {"f" * ("{" in path)}{there!r}, {kind}, {", ".join(passed)})'
        )

    def files(self) -> dict[str, str]:
        calls = "\n\n".join(self.call(*one) for one in self.operations)
        models = "from dataclasses import dataclass, field\nfrom datetime import datetime\nfrom typing import Any, Literal\n\n\n"
        several = "from collections.abc import Mapping, Sequence\n"
        pages = f"from headrace.client.answers import {', '.join(self.answers)}\n"
        known = f"{pages}from headrace.client.asked import {', '.join(self.asked)}\n"
        known += f"from headrace.client.running import {', '.join(self.running)}\n"
        imports = (
            f"{several}from datetime import datetime\nfrom typing import Any, Literal\nfrom uuid import uuid4\n\n{known}"
            "from headrace.client.connection import Connection, all_have, given, part\n\n\n"
        )
        client = f"class Client(Connection):\n{_docstring(CLIENT, 4)}\n\n"
        return {
            "asked": f'"""What is sent. {MADE_BY}"""\n\n{several}{models}' + self.dataclasses(self.asked, sent=True),
            "answers": f'"""What comes back of pages, items and events. {MADE_BY}"""\n\n{models}'
            + self.dataclasses(self.answers, sent=False),
            "running": f'"""What comes back of the server itself. {MADE_BY}"""\n\n{models}{pages}\n\n'
            + self.dataclasses(self.running, sent=False),
            "calls": f'"""What a server can be asked. {MADE_BY}"""\n\n{imports}{client}{calls}',
        }


def _named(schema: Any) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2] if isinstance(schema, dict) else ""


def _schema(part: Schema) -> Schema:
    return cast(Schema, next(iter(part.get("content", {}).values()), {}).get("schema", {}))


def _body(one: Schema) -> Schema:
    return _schema(one.get("requestBody", {}))


def _answer(one: Schema) -> Schema:
    return _schema(next(answer for code, answer in one["responses"].items() if code.startswith("2")))


def _refuses(one: Schema, code: str) -> bool:
    answer = one["responses"].get(code)
    return answer is not None and _schema(answer) != _answer(one)


def _docstring(said: list[str], indent: int) -> str:
    parts = [fill(" ".join(part.split()), 127 - indent) for part in said]
    text = "\n\n".join([parts[0], "\n".join(parts[1:])]).strip()
    lines = ('"""' + text + ("\n" if "\n" in text else "") + '"""').splitlines()
    return "\n".join((" " * indent + line) if line else "" for line in lines)


def written(source: str) -> str:
    """In the house's style, without the imports that are not needed."""
    for arguments in (["check", "--fix-only", "--quiet", "--select", "F401,I,UP,Q"], ["format", "--quiet"]):
        run = [Path(sys.executable).with_name("ruff"), *arguments, "--stdin-filename", FOLDER / "made.py", "-"]
        source = subprocess.run(run, input=source, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return source


CLIENT = [
    "Of one server. It may be used by several threads.",
    "Any call may raise what `failures` has: NotAllowed (401, 403), Refused (another 4xx, such as 413 and 422), Busy (408, 429, "
    "503, after the attempts), Broken (another 5xx) and Unreachable. What a call has of its own stands with it.",
]


def main() -> None:
    app, serving = FastAPI(title="Headrace"), Mock()  # a route may take a part of it along, and asks it nothing yet
    for one in ROUTES:
        app.include_router(one.routes(serving))
    made = {FOLDER / f"{name}.py": written(source) for name, source in Writer(described(app.openapi())).files().items()}
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv and stale:
        raise SystemExit(f"{stale[0].relative_to(ROOT)} is not what the routes say. Run: make docs")
    if "--check" not in sys.argv:
        for path, text in made.items():
            path.write_text(text)
            print(f"{path.relative_to(ROOT)}: written")


if __name__ == "__main__":
    main()
