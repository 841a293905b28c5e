"""Codes that somebody else made."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.data.vocabulary import Vocabulary
from headrace.encode.semantic_ids.catalogue import fingerprint_of, marks_of
from headrace.encode.semantic_ids.published import published

ITEMS = Vocabulary(["x", "y", "z", "new"])
ROWS = {
    "y": ["<a_3>", "<b_0>", "<c_9>"],
    "x": ["<a_3>", "<b_0>", "<c_1>"],
    "gone": ["<a_7>", "<b_7>", "<c_7>"],
    "z": ["<a_0>"] * 3,
}


def table(folder: Path, rows: dict[str, Any]) -> Path:
    path = folder / "codes.parquet"
    pl.DataFrame({"item_id": list(rows), "codes": list(rows.values())}).write_parquet(path)
    return path


def test_the_first_levels_are_kept_by_the_logs_numbers_and_equal_ones_told_apart(tmp_path: Path) -> None:
    ids = published(table(tmp_path, ROWS), ITEMS, levels=2, symbols=4)
    assert ids.codes.tolist() == [[-1, -1, -1], [3, 0, 0], [3, 0, 1], [0, 0, 0], [-1, -1, -1]]
    assert ids.sizes == (4, 4, 4)
    assert ids.items == fingerprint_of(marks_of(ITEMS))


def test_levels_grow_where_codes_are_larger_than_symbols(tmp_path: Path) -> None:
    assert published(table(tmp_path, ROWS), ITEMS, levels=3, symbols=2).sizes == (4, 2, 10, 2)


def test_whole_numbers_are_codes_too(tmp_path: Path) -> None:
    words = published(table(tmp_path, ROWS), ITEMS, levels=2)
    numbers = {name: [int(code[3:-1]) for code in codes] for name, codes in ROWS.items()}
    assert published(table(tmp_path, numbers), ITEMS, levels=2).fingerprint == words.fingerprint


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"x": ["<a_1>", "<b_2>"], "y": ["<a_1>"]}, "1 items have fewer than 2 codes, item y the first"),
        ({"x": ["<a_1>", "two"]}, "1 codes are no codes; the first, of item x, is 'two'"),
        ({"x": ["<a_1>", "-2"]}, "'-2'"),
        ({"q": ["<a_1>", "<b_2>"]}, "none of its 1 items is in the log"),
        ({"x": "<a_1>"}, "codes are String, expected a list"),
    ],
)
def test_what_is_no_table_of_codes_is_refused(tmp_path: Path, rows: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        published(table(tmp_path, rows), ITEMS, levels=2)


def test_an_item_with_two_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    pl.DataFrame({"item_id": ["x", "x"], "codes": [["1"], ["2"]]}).write_parquet(path)
    with pytest.raises(DataError, match="1 items have two rows or more: x"):
        published(path, ITEMS, levels=1)


def test_a_file_that_is_not_there_or_has_other_columns_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read as a table of item_id and codes"):
        published(tmp_path / "codes.parquet", ITEMS)
    pl.DataFrame({"item_id": ["x"]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="can't be read as a table of item_id and codes"):
        published(tmp_path / "other.parquet", ITEMS)


def test_the_published_codes_of_beauty_are_read_by_its_own_vocabulary(tmp_path: Path) -> None:
    """The data set's table as its maker writes it: codes of every item, in an order of their own."""
    from headrace.data.datasets.amazon_beauty_sequences import write

    index = {"1": ["<a_9>", "<b_70>", "<c_2>", "<d_6>"], "0": ["<a_9>", "<b_70>", "<c_2>", "<d_5>"]}
    write(tmp_path, {"Beauty.inter.json": b'{"0": [0, 1], "1": [1, 0]}', "Beauty.index.json": json.dumps(index).encode()})
    items = Vocabulary(pl.read_parquet(tmp_path / "items.parquet")["item_id"])
    ids = published(tmp_path / "codes.parquet", items)
    assert sorted(ids.codes[1:].tolist()) == [[9, 70, 2, 0], [9, 70, 2, 1]]
    assert ids.sizes == (256, 256, 256, 256)
