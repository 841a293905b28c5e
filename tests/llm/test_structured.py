import json
import re
import time

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, dictionaries, floats, integers, lists, none, recursive, text

from headrace.contracts.errors import ConfigError
from headrace.llm.structured import NoObject, Wanted, first_object

VERDICT = {
    "type": "object",
    "properties": {"verdict": {"enum": ["a", "b", "tie"]}, "score": {"type": "integer", "minimum": 1, "maximum": 10}},
    "required": ["verdict"],
    "additionalProperties": False,
}
VALUES = recursive(
    none() | booleans() | integers() | floats(allow_nan=False, allow_infinity=False) | text(),
    lambda inner: lists(inner) | dictionaries(text(), inner),
    max_leaves=8,
)


@given(value=dictionaries(text(), VALUES), before=text().filter(lambda said: "{" not in said), after=text())
def test_any_object_is_found_whatever_stands_around_it(value, before, after):
    assert first_object(before + json.dumps(value) + after) == value


@pytest.mark.parametrize(
    "said",
    [
        '{"verdict": "a"}',
        'Sure!\n```json\n{"verdict": "a"}\n```\nAnything else?',
        'As {asked} by you: {"verdict": "a"} {"verdict": "b"}',
        '{not this} but {"verdict": "a"}',
    ],
)
def test_the_first_object_counts(said):
    assert Wanted(VERDICT).read(said) == {"verdict": "a"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "there is no JSON object"),
        ("I think a.", "there is no JSON object"),
        ('["a"]', "there is no JSON object"),
        ('{"verdict": "a"', "breaks off"),
        ('{"verdict": "a', "breaks off"),
        ('{"outer": {"verdict": "a"}', "breaks off"),
        ('{"outer": {"verdict": "a"}, bad}', "double quotes"),
        ("{'verdict': 'a'}", "double quotes"),
        ('{"verdict": "A"}', "verdict: 'A' is not one of ['a', 'b', 'tie']"),
        ('{"score": 3}', "'verdict' is a required property"),
        ('{"verdict": "a", "score": "3"}', "score: '3' is not of type 'integer'"),
        ('{"verdict": "a", "score": 11}', "score: 11 is greater than the maximum of 10"),
        ('{"verdict": "a", "note": 1}', "'note' was unexpected"),
        ('{"verdict": "b", "verdict": "a"}', '"verdict" stands there twice'),
        ('{"verdict": "a", "score": NaN}', "NaN is no JSON value"),
        ('{"verdict": "a", "score": 1e999}', "too large"),
        ('{"verdict": ' + "9" * 5000 + "}", "digit"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_does_not_meet_the_schema_says_why_and_is_never_mended(said, reason):
    with pytest.raises(NoObject) as raised:
        Wanted(VERDICT).read(said)
    assert reason in str(raised.value).replace("maximum recursion depth exceeded", "nested too deeply")
    assert len(str(raised.value)) < 400


def test_a_long_answer_full_of_braces_is_given_up():
    started = time.process_time()
    with pytest.raises(NoObject):
        first_object("{x} " * 100_000)
    assert time.process_time() - started < 10  # all of it would take half a minute


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "array"}, "type 'array', expected \"object\""),
        ({}, "type None"),
        ({"type": "object", "required": "verdict"}, "A schema is none"),
        ({"type": "object", "default": object()}, "A schema is none"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/tea"}}}, '"#/$defs/tea" leads nowhere'),
        ({"type": "object", "anyOf": [{"$ref": "http://127.0.0.1:1/tea"}]}, "leads nowhere"),
    ],
)
def test_a_schema_that_is_none_is_refused_before_anybody_is_asked(schema, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        Wanted(schema)


@pytest.mark.parametrize("end", ["#/$defs/x", "#"])
def test_a_schema_that_nothing_meets_leaves_every_answer_without_use(end):
    endless = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "required": ["a"], "$defs": {"x": {"$ref": end}}}
    for said in ('{"a": 1}', '{"a": {"a": {}}}'):
        with pytest.raises(NoObject):
            Wanted(endless).read(said)


def test_a_name_that_only_looks_like_a_reference():
    schema = {"type": "object", "properties": {"$ref": {"type": "string"}, "a": {"enum": [{"$ref": "tea"}]}}}
    assert Wanted(schema).read('{"$ref": "tea", "a": {"$ref": "tea"}}')
    whole = {"type": "object", "properties": {"more": {"$ref": "#"}, "n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"minimum": 1}}}
    assert Wanted(whole).read('{"more": {"more": {"n": 2}}}') == {"more": {"more": {"n": 2}}}
    with pytest.raises(NoObject, match="more.n: 0 is less"):
        Wanted(whole).read('{"more": {"n": 0}}')
