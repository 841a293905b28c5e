from datetime import UTC, datetime

import polars as pl
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.llm.annotation.rows import said
from headrace.llm.annotation.running import opened
from headrace.testing.chat import Scripted
from tests.llm.annotation.some_plan import plan, reviews


def write(folder, name, table):
    {"csv": table.write_csv, "parquet": table.write_parquet, "jsonl": table.write_ndjson}[name.rsplit(".")[-1]](folder / name)


def chunks(folder, **sections):
    with opened(plan(folder, **sections), Scripted([])) as job:
        return [job.table.chunk(number) for number in range(job.table.chunks)]


@pytest.mark.parametrize("name", ["reviews.csv", "reviews.parquet", "reviews.jsonl"])
def test_chunks_hold_all_rows_in_their_order(tmp_path, name):
    write(
        tmp_path, name, pl.DataFrame({"id": [f"{n:03d}" for n in range(10)], "x": 1, "review": [f"cup {n}" for n in range(10)]})
    )
    found = chunks(tmp_path, rows={"path": name})
    assert [len(chunk.keys) for chunk in found] == [4, 4, 2]
    assert [key for chunk in found for key in chunk.keys] == [f"{n:03d}" for n in range(10)]
    assert found[1].texts[0] == {"review": "cup 4"}
    assert found[0].keys.name == "id"


def test_many_files_are_one_table_and_a_field_may_have_another_name(tmp_path):
    for day in (1, 2):
        write(tmp_path, f"day-{day}.parquet", pl.DataFrame({"id": [day * 10, day * 10 + 1], "text": [["a", "b"], None]}))
    (one,) = chunks(tmp_path, rows={"path": "day-*.parquet"}, prompt={"fields": {"review": "text"}})
    assert one.keys.to_list() == [10, 11, 20, 21]
    assert one.keys.dtype == pl.Int64
    assert [texts["review"] for texts in one.texts] == ["a, b", "", "a, b", ""]


def test_a_column_may_be_read_twice_and_the_key_too(tmp_path):
    reviews(tmp_path, 1)
    (tmp_path / "two.txt").write_text("version: 1\n[system]\nRead.\n[user]\n{a}\n{b}\n{c}\n")
    fields = {"a": "review", "b": "review", "c": "id"}
    (one,) = chunks(tmp_path, prompt={"file": "two.txt", "values": {}, "fields": fields})
    assert one.texts == [{"a": "cup 0000 is fine", "b": "cup 0000 is fine", "c": "r0000"}]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"ids": ["a"], "review": ["x"]}, r'no column "id", the key of a row \(\[rows\] key\)\. Did you mean "ids"\?'),
        ({"id": ["a"], "reviews": ["x"]}, r'no column "review", which the prompt reads as \{review\}.* Did you mean "reviews"\?'),
        ({"id": ["a", "b", "a", "b", "a"], "review": "x"}, "2 keys are not of one row alone: id 'a' stands in rows 1, 3, 5"),
        ({"id": ["a", None, "b", None], "review": "x"}, r'2 rows have no "id": rows 2, 4\. Every row needs a key'),
        ({"id": [None], "review": ["x"]}, r'1 rows have no "id": row 1\.'),
        ({"id": [], "review": []}, "has no rows"),
        ({"id": [["a"]], "review": ["x"]}, r'the key "id" is of type List\(String\), expected text'),
        ({"id": [0.5], "review": ["x"]}, 'the key "id" is of type Float64'),
    ],
)
def test_tables_that_cannot_be_asked_say_why(tmp_path, table, message):
    write(tmp_path, "reviews.parquet", pl.DataFrame(table))
    with pytest.raises(DataError, match=message):
        chunks(tmp_path, rows={"path": "reviews.parquet"})
    assert not list(tmp_path.glob("topics.parquet.work/*/rows.parquet")), "no copy of a table that was refused"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("reviews.parquet", b"PAR1 it is not", r"reviews\.parquet is cut short or not Parquet"),
        ("reviews.csv", b"", r"reviews\.csv is empty"),
        ("reviews.csv", b"id,review\n", "has no rows"),
        ("reviews.csv", b"id,review\na,b,c\n", "reviews.csv: row 1 of reviews.csv has 3 fields"),
        ("reviews.csv", b"id,review\na,\xff\n", "is not UTF-8"),
        ("reviews.xlsx", b"PK", r"Headrace reads .*Convert it"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, ConfigError), match=message):
        chunks(tmp_path, rows={"path": name})


def test_a_file_that_is_not_there_names_the_section_and_what_is(tmp_path):
    reviews(tmp_path)
    with pytest.raises(ConfigError, match=r'topics\.toml \[rows\] path: there is no file .*Did you mean "reviews\.csv"\?'):
        chunks(tmp_path, rows={"path": "review.csv"})


def test_what_is_read_is_not_written_over(tmp_path):
    write(tmp_path, "topics.parquet", pl.DataFrame({"id": ["a"], "review": ["x"]}))
    with pytest.raises(DataError, match=r"topics\.parquet is one of the files that are read"):
        chunks(tmp_path, rows={"path": "topics.parquet"})


def test_values_are_said_as_they_stand():
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert [said(one) for one in (None, "x", 3, 0.5, True, at, ["a", None, 1], {"a": at})] == [
        "", "x", "3", "0.5", "True", "2026-01-02T00:00:00+00:00", "a, , 1", '{"a": "2026-01-02 00:00:00+00:00"}',
    ]  # fmt: skip
