"""Whatever a route takes, what can't be used is named: the field, what was received, what is expected."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from headrace.serve.api.failures import handle_failures
from headrace.serve.messages import Id
from tests.serve.guard.asking import ask


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Part(Strict):
    colour: str
    width: float = Field(default=0.0, allow_inf_nan=False)


class Round(Part):
    radius: int = 0


class Whole(Strict):
    name: Id
    parts: list[Part] = []
    by_name: dict[str, Part] = {}
    any_of: Round | Part | None = None


Several = Annotated[
    Annotated[Whole, Tag("one whole")] | Annotated[list[Whole], Tag("several wholes")],
    Discriminator(lambda sent: "several wholes" if isinstance(sent, list) else "one whole"),
]


@pytest.fixture(scope="module")
def app():
    app, included = FastAPI(), APIRouter()

    @app.post("/wholes")
    def wholes(sent: Several) -> Any:
        return {}

    @included.delete("/items/{number}")
    def gone(number: int) -> Any:
        return {}

    @app.get("/items/{number}")
    def item(number: int, n: Annotated[int, Query(ge=1)] = 1) -> Any:
        return {}

    app.include_router(included)
    handle_failures(app)
    return app


JSON = {"content-type": "application/json", "content-length": "1"}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ("{}", "name", "is required"),
        ('{"nam": "a"}', "name", "is required"),
        ('{"name": "a", "nmae": 1}', "nmae", 'Did you mean "name"'),
        ('[{"name": "a"}, {"name": "a", "x": 1}]', "1.x", "Fields: name, parts, by_name, any_of"),
        (
            '{"name": "a", "parts": [{"colour": "red", "color": 1}]}',
            "parts.0.color",
            'mean "colour"? Fields: colour, width',
        ),
        ('{"name": "a", "by_name": {"b": {"colour": "red", "widht": 1}}}', "by_name.b.widht", 'mean "width"'),
        ('{"name": "a", "any_of": {"colour": "red", "radiuss": 1}}', "any_of.Round.radiuss", 'mean "radius"'),
        ('{"name": "a", "one whole": 1}', "one whole", "is not a field"),
        ('{"name": "a", "parts": [{"colour": "red", "width": NaN}]}', "parts.0.width", "finite"),
        ('{"name": "a\\u0000b"}', "name", "pattern"),
        ('{"name": "\\ud800"}', "name", "is"),
        ('{"name": 1}', "name", "string"),
        (f'{{"name": "{"x" * 10_001}"}}', "name", "at most 10000"),
        ('"text"', "body", "is"),
        ("null", "body", "is"),
        ("{", "body", "is not JSON"),
    ],
)
def test_the_field_is_named_wherever_it_is(app, body, field, says):
    answer = ask(app, "POST", "/wholes", JSON, [body.encode()])
    assert answer.status == 422
    assert answer.error["field"] == field
    assert says in answer.error["message"]
    assert len(answer.error["message"]) < 300


@pytest.mark.parametrize(("body", "status"), [(b'{"name": "\xff"}', 400), (b'{"name": ' + b"9" * 5000 + b"}", 400)])
def test_what_no_parser_reads_is_the_body_s_fault(app, body, status):
    answer = ask(app, "POST", "/wholes", JSON, [body])
    assert (answer.status, answer.error["field"]) == (status, "body")


def test_paths_methods_and_parameters_are_named_too(app):
    for method, path, status, field in (
        ("GET", "/nowhere", 404, "path"), ("DELETE", "/wholes", 405, "method"), ("GET", "/items/x", 422, "number"),
    ):  # fmt: skip
        answer = ask(app, method, path)
        assert (answer.status, answer.error["field"]) == (status, field)


@pytest.mark.parametrize("sent_as", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_a_body_that_is_not_said_to_be_json_is_told_what_to_say(app, sent_as):
    answer = ask(app, "POST", "/wholes", {"content-type": sent_as, "content-length": "14"}, [b'{"name": "eve"}'])
    assert (answer.status, answer.error["field"]) == (422, "content-type")
    assert "Content-Type: application/json" in answer.error["message"]
    assert "eve" not in answer.error["message"]


def test_every_method_of_a_path_is_told_where_another_is_asked(app):
    answer = ask(app, "PUT", "/items/3")
    assert answer.error["message"] == "is PUT; this path takes DELETE, GET."
    assert answer.headers["allow"] == "DELETE, GET"
