import shutil
from pathlib import Path

import polars as pl
import pytest

from headrace.data.quarantine import QUARANTINE
from headrace.serve.console.data import filled, offered, sample, set_aside
from headrace.serve.console.paging import Part, part
from tests.serve.console.hostile import RING, SCRIPT, USER
from tests.serve.console.markup import check_harmless


@pytest.fixture(scope="module")
def service(client):
    return client.app.state.serving.service


def seen(client, **values):
    answer = client.get("/console/data", params=values)
    assert answer.status_code == 200
    return check_harmless(answer.text)


def test_what_was_set_aside_and_why(client):
    found = seen(client)
    for said in ("no item_id", "a time that can't be read", "-9000000000000", USER, f"x{SCRIPT}", "96", "of 98 read"):
        assert said in found.text
    assert {"/console/data?reason=no%20item_id#rows"} <= {one["href"] for one in found.all("a")}


def test_rows_of_one_reason(client):
    found = seen(client, reason="no item_id").text
    table = found.split("what stood there")[1]
    assert USER in table
    assert "-9000000000000" not in table
    assert "No row was set aside for" in seen(client, reason=f"none {SCRIPT}").text


def test_the_page_of_the_address_is_the_reason_s(service, tmp_path):
    rows = [
        {"table": "events", "row": n, "column": "at", "reason": "a" if n % 2 else "b", "value": "x" * n} for n in range(1, 301)
    ]
    path = tmp_path / "quarantine.parquet"
    pl.DataFrame(rows, schema=QUARANTINE).write_parquet(path)
    found = sample(service, path, "a", "2")
    assert found is not None
    assert [one["row"] for one in found.rows] == list(range(101, 201, 2))
    assert found.part == Part(2, 3, 50, 100)
    last = sample(service, path, "", "6")
    assert last is not None
    assert last.rows[-1]["value"] == "x" * 300


def test_a_long_value_is_cut(service, tmp_path):
    path = tmp_path / "quarantine.parquet"
    pl.DataFrame([{"table": "events", "row": 1, "reason": "a", "value": "x" * 5000}], schema=QUARANTINE).write_parquet(path)
    found = sample(service, path, "", "1")
    assert found is not None
    assert found.rows[0]["value"] == "x" * 300 + "... (5,000 letters)"


def test_nothing_set_aside(service, tmp_path):
    path = tmp_path / "quarantine.parquet"
    assert sample(service, path, "", "1") is None
    QUARANTINE.to_frame().write_parquet(path)
    assert sample(service, path, "", "1") is None


def test_who_was_erased_is_not_shown(ledgered, tmp_path):
    service = ledgered.app.state.serving.service
    service.state.forget("u8")
    path = tmp_path / "quarantine.parquet"
    rows = [{"table": "events", "row": n, "reason": "a", "user_id": user} for n, user in enumerate(["u8", "u7", None])]
    pl.DataFrame(rows, schema=QUARANTINE).write_parquet(path)
    found = sample(service, path, "", "1")
    assert found is not None
    assert [one["user_id"] for one in found.rows] == ["u7", None]


def test_a_refused_import_is_shown(client, service):
    path = service.pipeline.graph.store.root / "quarantine.parquet"
    assert "A refused import" not in seen(client).text
    shutil.copy(service.pipeline.tables.path / "quarantine.parquet", path)
    try:
        assert "A refused import" in seen(client).text
    finally:
        path.unlink()


def test_nothing_to_say_of_a_log_that_keeps_to_the_contract(client, monkeypatch):
    monkeypatch.setattr("headrace.serve.console.data.set_aside", lambda _: [])
    assert "every one keeps to the contract" in seen(client).text


def test_shares_are_of_the_rows_read():
    told = {"read": {"events": 50}, "quarantined": {"events": {"a": 1, "b": 5}, "items": {}}}
    assert [(one.reason, one.rows, one.share) for one in set_aside(told)] == [("b", 5, 0.1), ("a", 1, 0.02)]


def test_what_columns_hold(tmp_path: Path):
    pl.DataFrame({"item_id": ["a", "b"], "title": ["x", None], "tags": [["x"], []]}).write_parquet(tmp_path / "t.parquet")
    assert filled(tmp_path / "t.parquet") == [("item_id", "string", 1.0), ("title", "string", 0.5), ("tags", "list(string)", 1.0)]
    pl.DataFrame(schema={"item_id": pl.String}).write_parquet(tmp_path / "t.parquet")
    assert filled(tmp_path / "t.parquet") == []


def test_a_withdrawn_item_is_counted(ledgered):
    service = ledgered.app.state.serving.service
    before = offered(service)
    assert (before.items, before.available, before.now, before.put) == (RING, RING, RING, 0)
    assert ledgered.delete("/v1/items/p2").status_code == 200
    assert ledgered.put("/v1/items", json={"item_id": "brand new"}).status_code == 200
    after = offered(service)
    assert (after.available, after.now, after.put) == (RING, RING - 1, 1)
    assert f"of {RING} at the build, 1 withdrawn since" in seen(ledgered).text


@pytest.mark.parametrize(
    ("asked", "rows", "found"),
    [
        ("1", 0, Part(1, 1, 0, 0)), ("2", 25, Part(2, 3, 10, 20)), ("9", 25, Part(3, 3, 20, 25)), ("x", 25, Part(1, 3, 0, 10)),
        ("0", 25, Part(1, 3, 0, 10)), ("-1", 25, Part(1, 3, 0, 10)), ("2" * 40, 25, Part(1, 3, 0, 10)),
        ("", 10, Part(1, 1, 0, 10)),
    ],
)  # fmt: skip
def test_parts(asked, rows, found):
    assert part(asked, rows, 10) == found
