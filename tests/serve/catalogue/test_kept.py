from dataclasses import replace

import polars as pl
import pytest

from headrace.contracts.tables import ITEMS, TIME
from headrace.serve.catalogue import kept as module
from headrace.serve.catalogue.kept import Catalogue, packed
from headrace.serve.state.database import Database, digest

SCHEMA = pl.Schema({**ITEMS.schema(), "colour": pl.String(), "grams": pl.Int64(), "seen": TIME})
BLANK = dict.fromkeys(name for name in SCHEMA if name != "valid_from") | {"available": True}
POT = BLANK | {"item_id": "pot", "title": "Pot", "price": 3.0}


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path, 0.1, sole=False)
    yield made
    made.close()


@pytest.fixture
def catalogue(database):
    return Catalogue(database, SCHEMA)


def test_what_is_not_sent_stays_and_what_is_the_same_changes_nothing(catalogue):
    below = {"pot": POT}
    assert catalogue.put([{"item_id": "pot", "price": 4.0}, {"item_id": "lid", "title": "Lid"}], below, 10) == [True, True]
    assert catalogue.get("pot").row == POT | {"price": 4.0}
    assert catalogue.get("lid").row == BLANK | {"item_id": "lid", "title": "Lid"}
    assert catalogue.put([{"item_id": "pot", "price": 4.0}, {"item_id": "lid"}], below, 20) == [False, False]
    assert catalogue.put([{"item_id": "kettle", "title": "Pot"}], {"kettle": POT | {"item_id": "kettle"}}, 20) == [False]
    assert catalogue.get("kettle") is None
    assert catalogue.stamp == 2


def test_coming_and_going_is_known_as_of_each_moment(catalogue):
    for at_us, shown in ((10, False), (20, True), (30, False)):
        catalogue.put([{"item_id": "pot", "available": shown}], {"pot": POT}, at_us)
    kept = catalogue.get("pot")
    assert [kept.shown_at(at_us) for at_us in (10, 11, 20, 21, 31)] == [None, False, False, True, False]
    assert not kept.shown


def test_a_deleted_item_stays_so_and_comes_back_as_a_new_one(catalogue):
    catalogue.put([{"item_id": "pot", "price": 9.0}], {"pot": POT}, 10)
    assert catalogue.delete("pot", POT, 20)
    assert not catalogue.delete("pot", POT, 30)
    assert catalogue.delete("never heard of", None, 30)
    assert catalogue.get("pot").deleted
    assert not catalogue.get("pot").shown
    assert catalogue.put([{"item_id": "pot", "title": "New"}], {"pot": POT}, 40) == [True]
    assert catalogue.get("pot").row == BLANK | {"item_id": "pot", "title": "New"}
    assert [catalogue.get("pot").shown_at(at_us) for at_us in (5, 15, 25, 45)] == [None, True, False, True]


def test_another_process_s_changes_are_followed(catalogue, database, monkeypatch):
    other = Catalogue(database, SCHEMA)
    stamp, found = other.since(-1)
    assert (stamp, found) == (0, [])
    catalogue.put([{"item_id": "a"}, {"item_id": "b"}, {"item_id": "a", "title": "A"}], {}, 10)
    stamp, found = other.since(stamp)
    assert {one.item_id: one.row["title"] for one in found} == {"a": "A", "b": None}
    assert other.since(stamp) == (stamp, [])
    monkeypatch.setattr(module, "_CHANGES", 2)
    catalogue.put([{"item_id": name} for name in "cdef"], {}, 20)
    assert {one.item_id for one in other.since(stamp)[1]} == set("abcdef"), "too far behind: all is read anew"
    with database.reading() as reading:
        assert reading.stat(database.tables["changes"])["entries"] == 2


def test_rows_are_written_once_as_the_contract_s_table(catalogue, tmp_path):
    pot = POT | {"categories": ["a", "b"], "colour": "red", "grams": 3, "seen": 1_700_000_000_000_000}
    catalogue.put([{"item_id": "pot", "available": False}, {"item_id": "lid", "title": "Lid \x00\u202e\n🧦"}], {"pot": pot}, 10)
    catalogue.delete("pot", pot, 20)
    catalogue.delete("never heard of", None, 30)
    assert catalogue.write_items(tmp_path) == 3
    assert catalogue.write_items(tmp_path) == 0
    (file,) = tmp_path.glob("items/1970-01-01/*.parquet")
    rows = pl.read_parquet(file)
    assert rows.schema == SCHEMA
    assert rows["item_id"].to_list() == ["pot", "lid", "pot"]
    assert rows["available"].to_list() == [False, True, False]
    assert rows["valid_from"].dt.timestamp("us").to_list() == [10, 10, 20]
    assert rows.row(0, named=True)["grams"] == 3
    assert rows["seen"].dt.timestamp("us")[0] == 1_700_000_000_000_000
    catalogue.put([{"item_id": "cup"}], {}, 40)
    assert catalogue.write_items(tmp_path) == 1
    assert len(list(tmp_path.glob("items/1970-01-01/*.parquet"))) == 2


def test_a_row_that_the_newest_generation_s_table_can_t_hold_keeps_no_other_from_its_file(catalogue, tmp_path):
    catalogue.put([{"item_id": "pot", "grams": 3_000_000}, {"item_id": "lid", "grams": 5}], {"pot": POT}, 10)
    catalogue.schema = pl.Schema({**SCHEMA, "grams": pl.Int16(), "title": pl.List(pl.String), "seen": pl.Date()})
    assert catalogue.write_items(tmp_path) == 2
    (path,) = tmp_path.glob("items/*/*.parquet")
    assert pl.read_parquet(path).select("item_id", "grams", "price").rows() == [("pot", None, 3.0), ("lid", 5, None)]
    assert not catalogue.write_items(tmp_path)


def test_an_item_that_an_earlier_version_knew_no_move_of_was_shown_as_its_row_says(catalogue, database):
    catalogue.put([{"item_id": "pot", "price": 9.0}], {"pot": POT}, 10)
    with database.writing() as writing:
        writing.put(digest("pot"), packed(replace(catalogue.get("pot"), moves=())), db=database.tables["items"])
    assert catalogue.get("pot").moves == ((10, True),)
