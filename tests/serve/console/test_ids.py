from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from headrace.cascade.codes_in_words import CodesInWords
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.serve.console import ids as page_of_ids
from headrace.serve.console import tree
from tests.serve.console.hostile import RING, SCRIPT, TITLE, item
from tests.serve.console.markup import check_harmless

NONE = [-1, -1, -1]
CODES = np.array([NONE, [2, 0, 0], [2, 0, 1], [2, 1, 0], [0, 1, 0], NONE, [0, 0, 0], [2, 0, 2]], np.int32)
IDS = SemanticIds(CODES, (3, 2, 3))
HOSTILE = CodesInWords(
    SemanticIds(np.array([NONE, *([n % 2, n % 3, n] for n in range(RING - 1)), NONE], np.int32), (2, 3, RING)),
    {0: [f"wool {SCRIPT}"], 1: []},
)


@pytest.fixture
def coded(client, monkeypatch):
    monkeypatch.setattr(client.app.state.serving.service, "codes", HOSTILE)
    return client


def seen(client, **values):
    answer = client.get("/console/ids", params=values)
    assert answer.status_code == 200
    assert "<script>document" not in answer.text
    return check_harmless(answer.text)


def test_branches_are_the_codes_that_follow():
    first = tree.branches(IDS, (), tree.under(IDS, ()))
    assert [(one.said, one.items.tolist()) for one in first] == [("2", [1, 2, 7, 3]), ("0", [6, 4])]
    second = tree.branches(IDS, (2,), tree.under(IDS, (2,)))
    assert [(one.said, one.items.tolist()) for one in second] == [("2-0", [1, 2, 7]), ("2-1", [3])]
    assert tree.branches(IDS, (2, 0, 1), tree.under(IDS, (2, 0, 1))) == []


def test_every_item_with_codes_is_under_one_branch():
    found = np.concatenate([one.items for one in tree.branches(IDS, (), tree.under(IDS, ()))])
    assert sorted(found.tolist()) == np.flatnonzero(IDS.there).tolist()
    assert tree.used(IDS) == [(2, 3), (2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        ("", ()),
        (" ", ()),
        ("2", (2,)),
        ("2-0-1", (2, 0, 1)),
        ("3", None),
        ("2-0-1-0", None),
        ("x", None),
        ("-1", None),
        ("٢", None),
    ],
)
def test_what_is_asked_for(asked, codes):
    assert tree.read(asked, IDS) == codes


def test_the_first_codes_with_their_words(coded):
    found = seen(coded)
    assert f"wool {SCRIPT}" in found.text
    assert TITLE in found.text  # some of the items
    assert {"/console/ids?codes=0", "/console/ids?codes=1"} <= {one["href"] for one in found.all("a")}
    assert "11 with codes" in found.text


def test_down_to_the_items(coded):
    found = seen(coded, codes="1-0")
    numbers = tree.under(HOSTILE.ids, (1, 0)).tolist()
    assert numbers == [4, 10]
    shelf = coded.app.state.serving.service.shelf
    for number in numbers:
        assert f"{shelf.title(number)}" in found.text
    assert {"/console/ids", "/console/ids?codes=1"} <= {one["href"] for one in found.all("a")}
    assert "No item has an id" in seen(coded, codes="0-0-1").text


def test_an_item_s_own_codes(coded):
    number = 5
    item_id = coded.app.state.serving.service.shelf.item_id(number)
    said = "-".join(map(str, HOSTILE.ids.codes[number].tolist()))
    assert f"Items under {said}" in seen(coded, item=item_id).text
    last = coded.app.state.serving.service.shelf.item_id(RING)
    assert "has no codes" in seen(coded, item=last).text


@pytest.mark.parametrize(
    "values", [{"codes": SCRIPT}, {"item": SCRIPT}, {"codes": "9-9", "page": SCRIPT}, {"codes": "0-" * 5000}]
)
def test_what_there_is_not(coded, values):
    found = seen(coded, **values)
    assert "no code" in found.text
    assert "First codes" in found.text


def test_items_come_in_parts():
    many = SemanticIds(np.stack([np.zeros(120), np.zeros(120), np.arange(120)], 1).astype(np.int32), (1, 1, 120))
    shelf = SimpleNamespace(title=lambda n: f"t{n}", item_id=lambda n: f"i{n}")
    service: Any = SimpleNamespace(shelf=shelf)
    shown = page_of_ids.looked_at(service, CodesInWords(many, {0: []}), "0-0", "", "3")
    assert [row[0] for row in shown["items"]] == [f"i{n}" for n in range(100, 120)]
    assert (shown["part"].at, shown["part"].parts, shown["branches"]) == (3, 3, [])
    above = page_of_ids.looked_at(service, CodesInWords(many, {0: []}), "0", "", "1")
    assert (len(above["items"]), above["count_of_items"], len(above["branches"])) == (50, 120, 1)


def test_a_generation_without_codes(client):
    assert "reads no semantic ids" in seen(client, codes="1", item=item(1)).text
