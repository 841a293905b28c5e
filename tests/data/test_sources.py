import gzip
import re

import polars as pl
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.tables import EVENTS, ITEMS
from headrace.data.sources import ROW, read

HEADER = "user_id,item_id,at,kind\n"


def write(folder, name, content):
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def read_events(folder, name="events.csv", columns=None):
    return read(EVENTS, name, folder, columns or {})


def message(folder, name="events.csv", columns=None, kind=DataError):
    with pytest.raises(kind) as error:
        read_events(folder, name, columns)
    return str(error.value)


def test_a_wrong_path_names_the_nearest_file(tmp_path):
    write(tmp_path, "events.csv", HEADER)
    write(tmp_path, "items.csv", HEADER)
    assert message(tmp_path, "event.csv", kind=ConfigError) == (
        f'[data] events: there is no file {tmp_path}/event.csv. Did you mean "events.csv"? '
        f"The folder {tmp_path} has: events.csv, items.csv."
    )


def test_a_wrong_folder_names_the_nearest_one(tmp_path):
    (tmp_path / "logs" / "may").mkdir(parents=True)
    assert 'Did you mean "logs"?' in message(tmp_path, "log/may/events.csv", kind=ConfigError)
    assert "is a folder without Parquet files" in message(tmp_path, "logs", kind=ConfigError)
    assert 'nothing fits the pattern "logs/*.csv"' in message(tmp_path, "logs/*.csv", kind=ConfigError)


def test_a_missing_column_names_the_nearest_and_how_to_map_it(tmp_path):
    write(tmp_path, "events.csv", "customer_no,itemid,ts,kind\nu,i,1,view\n")
    assert message(tmp_path) == (
        'events.csv has no columns "user_id", "item_id", "at". It has: customer_no, itemid, ts, kind. '
        "If it is there under another name, map it:\n"
        '  [data.columns.events]\n  user_id = "customer_no"\n  item_id = "itemid"\n  at = "ts"'
    )


def test_a_column_with_no_likely_name_is_left_open(tmp_path):
    write(tmp_path, "events.csv", "q,item_id,at,kind\n1,2,3,4\n")
    assert message(tmp_path).endswith('[data.columns.events]\n  user_id = "..."')


def test_a_mapping_to_a_column_the_file_lacks(tmp_path):
    write(tmp_path, "events.csv", "customer,item_id,at,kind\nu,i,1,view\n")
    assert message(tmp_path, columns={"user_id": "custmer"}, kind=ConfigError) == (
        '[data.columns.events] user_id = "custmer": events.csv has no column "custmer". Did you mean "customer"? '
        "It has: customer, item_id, at, kind."
    )


def test_a_mapping_of_a_column_that_events_do_not_have(tmp_path):
    write(tmp_path, "events.csv", HEADER + "u,i,1,view\n")
    assert '"item" is not a column of events. Did you mean "item_id"?' in message(
        tmp_path, columns={"item": "item_id"}, kind=ConfigError
    )


def test_a_mapped_column_wins_over_one_of_our_name(tmp_path):
    write(tmp_path, "items.csv", "item_id,sku,colour\n1,a,red\n")
    raw = read(ITEMS, "items.csv", tmp_path, {"item_id": "sku"})
    assert raw.rows.rows() == [(1, "a", "red")]
    assert raw.rows.columns == [ROW, "item_id", "colour"]


def test_further_columns_of_events_are_named_as_ignored(tmp_path):
    write(tmp_path, "events.csv", "user_id,item_id,at,kind,colour\nu,i,1,view,red\n")
    assert read_events(tmp_path).ignored == ("colour",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "events.csv is empty"),
        (HEADER, "events.csv has no rows"),
        (HEADER + "u,i,1,view\nu,i,2\n", "row 2 of events.csv has 3 fields, its header has 4"),
        (HEADER + "u,i,1,view\nu,i,2,view,more\n", "row 2 of events.csv has 5 fields, its header has 4"),
        (HEADER.encode() + "u,é,1,view\n".encode("latin-1"), "not UTF-8: byte 0xe9 in line 2 of events.csv"),
        ((HEADER + "u,i,1,view\n").encode("utf-16"), "events.csv is UTF-16"),
    ],
)
def test_a_file_that_can_not_be_read_says_why(tmp_path, content, says):
    write(tmp_path, "events.csv", content)
    assert says in message(tmp_path)


def test_a_null_at_the_end_of_a_row_is_no_short_row(tmp_path):
    write(tmp_path, "events.csv", HEADER + 'u,i,1,\n"a,\nb",i,2,view\n\n')
    assert read_events(tmp_path).rows["kind"].to_list() == [None, "view"]


@pytest.mark.parametrize("keep", [0, 5, -10])
def test_a_truncated_parquet_file(tmp_path, keep):
    frame = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "at": [1], "kind": ["view"]})
    frame.write_parquet(tmp_path / "whole.parquet")
    write(tmp_path, "events.parquet", (tmp_path / "whole.parquet").read_bytes()[:keep])
    assert re.search("cut short|is empty", message(tmp_path, "events.parquet"))


def test_a_truncated_gzip_file(tmp_path):
    content = gzip.compress((HEADER + "".join(f"u{i},i{i * 7919 % 1000},{i},view\n" for i in range(5000))).encode())
    write(tmp_path, "events.csv.gz", content[: len(content) // 2])
    assert "events.csv.gz" in message(tmp_path, "events.csv.gz")


def test_a_broken_line_of_json(tmp_path):
    write(tmp_path, "events.jsonl", '{"user_id": "u"}\n{"user_id": \n')
    assert message(tmp_path, "events.jsonl").startswith("events.jsonl can't be read: ")


def test_an_unknown_format(tmp_path):
    write(tmp_path, "events.xlsx", "x")
    assert "Headrace reads .csv, .tsv, .jsonl, .ndjson, .parquet" in message(tmp_path, "events.xlsx", kind=ConfigError)
