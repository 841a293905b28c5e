import json
from typing import Any

import pytest

from headrace.llm.annotation.columns import Column, schema_of, values_of
from headrace.llm.asking import Unusable
from headrace.llm.structured import NoObject, Wanted

COLUMNS = {
    "why": Column(type="text", max_characters=20, description="One reason."),
    "score": Column(type="number", least=0, most=1),
    "stars": Column(type="integer", least=1, most=5),
    "again": Column(type="boolean"),
    "topic": Column(type="choice", choices=("price", "taste")),
    "words": Column(type="texts", max_items=2, max_characters=5),
    "tags": Column(type="choices", choices=("hot", "cold")),
}
GOOD: dict[str, Any] = {
    "why": "warm", "score": 1, "stars": 5.0, "again": True, "topic": "taste", "words": ["a", "b"], "tags": [],
}  # fmt: skip


def read(**changed: Any) -> list[Any]:
    return values_of(COLUMNS, Wanted(schema_of(COLUMNS)).read(json.dumps(GOOD | changed)))


def test_values_have_the_files_types():
    values = read()
    assert values == ["warm", 1.0, 5, True, "taste", ["a", "b"], []]
    assert [type(value) for value in values[1:3]] == [float, int]


def test_the_schema_is_told_in_order_with_its_rules():
    schema = schema_of(COLUMNS)
    assert schema["required"] == list(COLUMNS) == list(schema["properties"])
    assert schema["properties"]["why"] == {"type": "string", "maxLength": 20, "description": "One reason."}
    assert json.dumps(schema["properties"]["stars"]) == '{"type": "integer", "minimum": 1, "maximum": 5}'
    assert schema["properties"]["words"] == {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 2}
    assert schema_of({"n": Column(type="integer")})["properties"]["n"] == {"type": "integer"}
    assert schema_of({"t": Column(type="text")})["properties"]["t"]["maxLength"] == 1000


@pytest.mark.parametrize(
    "changed",
    [
        {"why": "x" * 21}, {"score": 1.01}, {"score": "1"}, {"stars": 0}, {"stars": 1.5}, {"again": "yes"}, {"topic": "price "},
        {"words": ["a", "b", "c"]}, {"words": ["abcdef"]}, {"tags": ["warm"]}, {"more": 1}, {"why": None}, {"stars": True},
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_no_answer(changed):
    with pytest.raises(NoObject):
        read(**changed)


@pytest.mark.parametrize(
    ("type", "value", "said"),
    [
        ("integer", 2**63, "n: 9223372036854775808 does not fit 64 bits"),
        ("number", 10**400, "n: a number of 401 digits is too large"),
        ("text", "\ud800", r"n: holds half a character"),
        ("texts", ["a", "\udfff"], r"n: holds half a character"),
    ],
)
def test_what_no_column_can_hold_is_unusable(type, value, said):
    with pytest.raises(Unusable, match=said):
        values_of({"n": Column(type=type)}, {"n": value})
