import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.tables import EVENTS, ITEMS, USERS
from headrace.data.clean import conform
from headrace.data.quarantine import sift
from headrace.data.sources import ROW, Raw


def read(table, typed=False, **columns):
    frame = pl.DataFrame(columns, strict=False)
    rows = frame.with_row_index(ROW, offset=1)
    return conform(Raw("file", rows, typed), table, "UTC"), rows


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["True", "no", " Y ", "0", "", None], [True, False, True, False, None, None]),
        ([1, 0, None], [True, False, None]),
        ([True, False], [True, False]),
    ],
)
def test_booleans(written, meant):
    found, _ = read(USERS, user_id=["u"] * len(written), consent_train=written)
    assert found.frame["consent_train"].to_list() == meant


def test_a_consent_that_can_not_be_read_is_no_consent():
    found, rows = read(USERS, user_id=["u", "v"], consent_train=["yes", "maybe"])
    kept, rejected = sift("users", found.frame, found.checks, rows)
    assert kept["user_id"].to_list() == ["u"]
    assert rejected.select("row", "reason", "value", "user_id").rows() == [
        (2, "a consent_train that can't be read", "maybe", "v")
    ]


def test_positions_are_whole_numbers():
    found, rows = read(EVENTS, position=["1", "3.0", "2.5", "x", "", "99999999999"])
    assert found.frame["position"].to_list() == [1, 3, None, None, None, None]
    _, rejected = sift("events", found.frame, found.checks, rows)
    assert rejected["row"].to_list() == [3, 4, 6]


@pytest.mark.parametrize(
    ("typed", "written", "meant"),
    [
        (False, ["1.0", "20.0", None], ["1", "20", None]),
        (False, ["1.0", "20"], ["1.0", "20"]),
        (True, ["1.0", "20.0"], ["1.0", "20.0"]),
        (True, [1.0, 2.5, float("nan"), None], ["1", "2.5", None, None]),
        (True, [2**62, 7], [str(2**62), "7"]),
        (False, ["007", " 7"], ["007", " 7"]),
    ],
)
def test_ids_from_numbers(typed, written, meant):
    found, _ = read(ITEMS, typed, item_id=written)
    assert found.frame["item_id"].to_list() == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["7", None, "-3"], [7, None, -3]),
        (["7", "", "0.5"], [7.0, None, 0.5]),
        (["7", "NaN"], [7.0, None]),
        (["01234", "99999"], ["01234", "99999"]),
        (["red", "7"], ["red", "7"]),
    ],
)
def test_features_in_text_files_become_numbers_where_they_are(written, meant):
    found, _ = read(ITEMS, item_id=["i"] * len(written), feature=written)
    assert found.frame["feature"].to_list() == meant


def test_categories_are_lists_already_or_split():
    split, _ = read(ITEMS, item_id=["a", "b", "c"], categories=["x|y z | ", "", None])
    assert split.frame["categories"].to_list() == [["x", "y z"], [], None]
    numbers, _ = read(ITEMS, True, item_id=["a"], categories=[[1, 2]])
    assert numbers.frame["categories"].to_list() == [["1", "2"]]
    with pytest.raises(DataError, match='column "categories" is Int64, expected lists of text'):
        read(ITEMS, True, item_id=["a"], categories=[3])


def test_a_nested_id_is_refused():
    with pytest.raises(DataError, match='column "item_id" is List'):
        read(ITEMS, True, item_id=[["a"]])
