import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.kinds import Kind
from headrace.contracts.tables import EVENTS, ITEMS, USERS
from headrace.data.importing import DataConfig, import_log

NOW = datetime(2024, 6, 1, tzinfo=UTC)
HEADER = "user_id,item_id,at,kind,value\n"
TABLES = ("items", "users", "events", "quarantine")


@pytest.fixture
def shop(tmp_path):
    """shop("events.csv", text) writes; shop.run(...) imports and returns the summary and the tables."""
    return Shop(tmp_path)


class Shop:
    def __init__(self, folder: Path):
        self.folder = folder
        self.runs = 0

    def __call__(self, name: str, content: str | bytes) -> "Shop":
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def run(self, kinds=None, **data):
        self.runs += 1
        out = self.folder / f"build-{self.runs}" / "log"
        out.mkdir(parents=True)
        config = parse(DataConfig, {"events": "events.csv", **data}, where="shop.toml [data]")
        summary = import_log(config, kinds or {}, base=self.folder, out=out, quarantine_path=self.bad, now=NOW)
        return summary, {name: pl.read_parquet(out / f"{name}.parquet") for name in TABLES}

    @property
    def bad(self) -> Path:
        return self.folder / "quarantine.parquet"


def rows(n: int = 200, first_at: int = 1_700_000_000) -> str:
    return "".join(f"u{i % 7},i{i % 13},{first_at + i},view,1\n" for i in range(n))


def test_a_log_alone_gets_its_items_and_users(shop):
    summary, tables = shop("events.csv", HEADER + "b,x,1700000000,view,\na,y,1700000100,buy,2.5\na,x,1700000050,view,1\n").run()
    events = tables["events"]
    assert events.schema == EVENTS.schema()
    assert events.select("user_id", "item_id").rows() == [("a", "x"), ("a", "y"), ("b", "x")]
    assert tables["items"].schema == ITEMS.schema()
    assert tables["users"].schema == USERS.schema()
    first_seen = dict(tables["items"].select("item_id", pl.col("valid_from").dt.epoch("s")).rows())
    assert first_seen == {"x": 1_700_000_000, "y": 1_700_000_100}
    assert tables["users"]["consent_train"].to_list() == [True, True]
    assert len(tables["quarantine"]) == 0
    assert summary.as_dict() == {
        "clock": "time",
        "read": {"events": 3, "items": 0, "users": 0},
        "kept": {"events": 3, "items": 0, "users": 0},
        "added": {"items": 2, "users": 2},
        "quarantined": {"events": {}, "items": {}, "users": {}},
        "first_at_us": 1_700_000_000_000_000,
        "last_at_us": 1_700_000_100_000_000,
        "kinds": {"view": 2, "buy": 1},
        "tied_share": 0.0,
        "time_forms": {"events.at": "epoch s"},
        "ignored": [],
        "erased": 0,
    }
    json.dumps(summary.as_dict())


def _as_csv(frame: pl.DataFrame, separator: str) -> bytes:
    return frame.write_csv(separator=separator).encode()


def _as_parquet(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "csv.gz", "tsv.gz", "jsonl.gz"])
def test_every_format_gives_the_same_events(shop, suffix):
    """Ids from numbers, gaps and all, and the hash that names an event: alike whatever file they came in."""
    frame = pl.DataFrame(
        {
            "user_id": [7.0, 7.0, 12.0, 3.0],
            "item_id": [1, 2, 2, 30],
            "at": [1_700_000_003, 1_700_000_001, 1_700_000_002, 1_700_000_000],
            "kind": ["view", "view", "buy", "view"],
            "value": [1.0, None, 2.5, 1.0],
        }
    )
    plain = suffix.removesuffix(".gz")
    content = {
        "csv": lambda: _as_csv(frame, ","),
        "tsv": lambda: _as_csv(frame, "\t"),
        "jsonl": lambda: frame.write_ndjson().encode(),
        "parquet": lambda: _as_parquet(frame),
    }[plain]()
    shop(f"events.{suffix}", gzip.compress(content) if suffix.endswith(".gz") else content)
    _, tables = shop.run(events=f"events.{suffix}")
    assert tables["events"].select("user_id", "item_id", "value").rows() == [
        ("12", "2", 2.5), ("3", "30", 1.0), ("7", "2", None), ("7", "1", 1.0),
    ]  # fmt: skip
    assert tables["events"]["event_id"].to_list() == [
        "11f924d5a7a7ef1645c37d5f53c6054a", "9c63e626376b22ec7d97ebd85fd8d788",
        "6ab3b4e18bf5dd6c78547a86af9e0d38", "384ffc9fa22fb83814426f46263e4896",
    ]  # fmt: skip


def test_a_folder_and_a_pattern(shop):
    (shop.folder / "log" / "day=2").mkdir(parents=True)
    frame = pl.read_csv(io.StringIO(HEADER + rows(20)))
    frame[:12].write_parquet(shop.folder / "log" / "a.parquet")
    frame[12:].write_parquet(shop.folder / "log" / "day=2" / "b.parquet")
    assert shop.run(events="log")[0].kept["events"] == 20
    shop("p-1.csv", HEADER + rows(5))("p-2.csv", HEADER + rows(6, 1_710_000_000))
    assert shop.run(events="p-*.csv")[0].kept["events"] == 11


def test_items_and_users_keep_their_features(shop):
    shop("events.csv", HEADER + "1,9,1700000000,view,\n2,8,1700000000,view,\n")
    shop(
        "items.csv",
        "sku,title,categories,price,available,weight,zip,added\n"
        '9,"Shoe, red",shoes| running ,19.5,no,3,01234,x\n5,Hat,,,,4.5,99999,\n',
    )
    shop("users.csv", "user_id,consent_train,age\n1,false,33\n2,,\n")
    summary, tables = shop.run(items="items.csv", users="users.csv", columns={"items": {"item_id": "sku", "first_sold": "added"}})
    items = tables["items"]
    assert items.columns == [*ITEMS.names, "first_sold", "weight", "zip"]
    shoe, hat, unnamed = items.rows(named=True)
    assert shoe | {"valid_from": None} == {
        "item_id": "9", "valid_from": None, "title": "Shoe, red", "text": None, "categories": ["shoes", "running"],
        "locale": None,
        "available": False, "image": None, "price": 19.5, "first_sold": "x", "weight": 3.0, "zip": "01234",
    }  # fmt: skip
    assert (hat["available"], hat["price"], hat["categories"]) == (True, None, None)
    assert (unnamed["item_id"], unnamed["title"], unnamed["available"]) == ("8", None, True)
    assert tables["users"].select("user_id", "consent_train", "age").rows() == [("1", False, 33), ("2", True, None)]
    assert summary.added == {"items": 1, "users": 0}
    assert items["valid_from"].null_count() == 0


def test_an_ordinal_clock_takes_the_order_for_the_time(shop):
    summary, tables = shop("events.csv", "user_id,item_id\na,x\nb,x\na,x\na,y\n").run(clock="ordinal", kind="view")
    assert tables["events"].select("user_id", "item_id", pl.col("at").to_physical()).rows() == [
        ("a", "x", 1), ("a", "x", 3), ("a", "y", 4), ("b", "x", 2),
    ]  # fmt: skip
    assert (summary.clock, summary.kinds, len(tables["quarantine"])) == ("ordinal", {"view": 4}, 0)


def test_one_user_and_one_moment(shop):
    summary, _ = shop("events.csv", HEADER + "".join(f"u,i{i},1700000000,view,\n" for i in range(5))).run()
    assert summary.tied_share == 1.0
    summary, _ = shop("events.csv", HEADER + "u,a,1700000000,view,\nu,b,1700000000,view,\nu,c,1700000001,view,\n").run()
    assert summary.tied_share == pytest.approx(2 / 3)


hostile = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.strip)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.tuples(hostile, hostile), min_size=1, max_size=8, unique=True))
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_hostile_ids_come_through(shop, suffix, ids):
    ids = [*ids, ('comma, "quote"', "🦄\n" + "x" * 10_000)]
    frame = pl.DataFrame(
        {
            "user_id": [user for user, _ in ids],
            "item_id": [item for _, item in ids],
            "at": range(1_700_000_000, 1_700_000_000 + len(ids)),
        }
    )
    content = {
        "csv": lambda: frame.write_csv(quote_style="always").encode(),
        "parquet": lambda: _as_parquet(frame),
        "jsonl": lambda: "".join(json.dumps(row) + "\n" for row in frame.to_dicts()).encode(),
    }[suffix]()
    _, tables = shop(f"events.{suffix}", content).run(events=f"events.{suffix}")
    assert set(tables["events"].select("user_id", "item_id").rows()) == set(ids)
    assert set(tables["items"]["item_id"]) == {item for _, item in ids}
    assert len(tables["quarantine"]) == 0


KINDS = {"view": Kind(), "rate": Kind(min_value=1, max_value=5)}


@pytest.mark.parametrize(
    ("row", "column", "reason", "value"),
    [
        (",x,1700000000,view,1", "user_id", "no user_id", None),
        ("u,,1700000000,view,1", "item_id", "no item_id", None),
        ("u,  ,1700000000,view,1", "item_id", "no item_id", "  "),
        ("u,x,,view,1", "at", "no time", None),
        ("u,x,yesterday,view,1", "at", "a time that can't be read", "yesterday"),
        ("u,x,2024-02-30,view,1", "at", "a time that can't be read", "2024-02-30"),
        ("u,x,1700000000,,1", "kind", "no kind", None),
        ("u,x,1700000000,veiw,1", "kind", "a kind that is not declared", "veiw"),
        ("u,x,1700000000,view,abc", "value", "a value that can't be read", "abc"),
        ("u,x,1700000000,view,NaN", "value", "a value that is NaN or infinite", "NaN"),
        ("u,x,1700000000,view,-inf", "value", "a value that is NaN or infinite", "-inf"),
        ("u,x,1700000000,rate,6", "value", "a value outside its kind's range", "6.0"),
        ("u,x,1700000000,rate,0.5", "value", "a value outside its kind's range", "0.5"),
        ("u,x,600000000,view,1", "at", "a time before 1990", "1989-01-05 10:40:00.000000+00:00"),
        ("u,x,1717372800,view,1", "at", "a time more than a day after 2024-06-01", "2024-06-03 00:00:00.000000+00:00"),
        ("u0,i0,1700000000,view,1", "event_id", "duplicate of another row", None),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(shop, row, column, reason, value):
    shop("events.csv", HEADER + rows() + row + "\n" + rows(50, 1_710_000_000))
    summary, tables = shop.run(KINDS, timezone="UTC")
    (bad,) = tables["quarantine"].rows(named=True)
    if reason == "duplicate of another row":
        value = bad["value"]
        assert len(value) == 32
    user, item = (part if part.strip() else None for part in row.split(",")[:2])
    assert bad == {
        "table": "events", "row": 201, "column": column, "reason": reason, "value": value, "user_id": user, "item_id": item,
    }  # fmt: skip
    assert summary.quarantined["events"] == {reason: 1}
    assert summary.read["events"] == 251
    assert summary.kept["events"] == 250 == len(tables["events"])


def test_a_key_given_twice(shop):
    body = "".join(f"e{i},u{i},x,{1_700_000_000 + i}\n" for i in range(100))
    shop("events.csv", "event_id,user_id,item_id,at\n" + body + "e5,other,y,1700000500\n,u,x,1700000001\n")
    _, tables = shop.run()
    assert tables["quarantine"].select("row", "reason", "value").rows() == [(101, "a key that an earlier row has", "e5")]
    assert tables["events"]["event_id"].null_count() == 0


def test_an_event_before_its_item_exists(shop):
    shop("events.csv", HEADER + rows(100) + "u,new,1700000500,view,1\n")
    shop("items.csv", "item_id,valid_from\nnew,1700001000\ni1,\ni2,1600000000\n")
    _, tables = shop.run(items="items.csv")
    assert tables["quarantine"].select("row", "reason", "item_id").rows() == [(101, "a time before its item exists", "new")]
    since = dict(tables["items"].select("item_id", pl.col("valid_from").dt.epoch("s")).rows())
    assert (since["new"], since["i1"], since["i2"]) == (1_700_001_000, 1_700_000_001, 1_600_000_000)


def test_items_are_a_history_and_one_row_a_moment(shop):
    shop("events.csv", HEADER + rows(20))
    shop("items.csv", "item_id,valid_from,price\ni1,1600000000,1\ni1,1650000000,2\ni1,1600000000,3\ni2,1600000000,inf\n")
    summary, tables = shop.run(items="items.csv", max_quarantined=0.5)
    assert summary.quarantined["items"] == {"a key that an earlier row has": 1, "a price that is NaN or infinite": 1}
    assert tables["items"].filter(pl.col("item_id") == "i1")["price"].to_list() == [1.0, 2.0]
    assert tables["items"].filter(pl.col("item_id") == "i2").height == 1  # back, as an item that only events name


def test_too_many_bad_rows_are_an_error_that_shows_them(shop):
    shop("events.csv", HEADER + rows(100) + "u91,,1700000000,view,1\n" * 3 + "u92,x,soon,view,1\n")
    with pytest.raises(DataError) as error:
        shop.run(timezone="UTC")
    assert str(error.value) == (
        "events.csv: 4 of 104 rows quarantined (3.85%, limit 1%): 3 have no item_id, 1 has a time that can't be read.\n"
        f'  first: row 101 (user "u91", item null). All of them: {shop.bad}. Raise data.max_quarantined or mend the file.'
    )
    assert pl.read_parquet(shop.bad)["row"].to_list() == [101, 102, 103, 104]


def test_nothing_left_is_an_error_whatever_the_limit(shop):
    with pytest.raises(DataError, match="1 of 1 rows quarantined"):
        shop("events.csv", HEADER + ",x,1700000000,view,1\n").run(max_quarantined=1.0)


@pytest.mark.parametrize(
    ("data", "kinds", "kind"),
    [({}, {}, "interaction"), ({"kind": "view"}, {}, "view"), ({}, {"buy": Kind()}, "buy"), ({"kind": "rate"}, KINDS, "rate")],
)
def test_the_kind_of_a_file_without_one(shop, data, kinds, kind):
    assert shop("events.csv", "user_id,item_id,at\na,x,1700000000\n").run(kinds, **data)[0].kinds == {kind: 1}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, r"several kinds are declared \(view, rate\)"),
        ({"kind": "veiw"}, r'kind = "veiw" is not declared. Did you mean "view"\?'),
    ],
)
def test_a_kind_that_is_not_settled(shop, data, says):
    with pytest.raises(ConfigError, match=says):
        shop("events.csv", "user_id,item_id,at\na,x,1700000000\n").run(KINDS, **data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"events": None}, "names no log"),
        ({"dataset": "movielens-100k"}, 'both dataset = "movielens-100k" and events'),
        ({"events": None, "dataset": "movielens100k"}, 'Did you mean "movielens-100k"'),
        ({"events": None, "dataset": "census-income"}, "has no events"),
    ],
)
def test_what_to_import_must_be_plain(shop, data, says):
    with pytest.raises(ConfigError, match=says):
        shop("events.csv", HEADER + rows(3)).run(**data)


def test_dates_of_items_need_a_clock(shop):
    shop("events.csv", "user_id,item_id\na,x\n")("items.csv", "item_id,valid_from\nx,1600000000\n")
    with pytest.raises(ConfigError, match=r'items\.csv has a column "valid_from", but the clock is "ordinal"'):
        shop.run(clock="ordinal", items="items.csv")
