"""Requests and candidates through the import: every reason a row is set aside, parts that change nothing, erasure."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import polars as pl
import pytest

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.rng import rng
from headrace.contracts.tables import CANDIDATES, REQUESTS
from headrace.data.forget import forget_in_tables
from headrace.data.importing import DataConfig, import_log
from headrace.data.labels import TaskConfig, labels_of
from headrace.data.settings import check_sources

NOW = datetime(2024, 6, 1, tzinfo=UTC)
AT = 1_700_000_000
GIVEN = {"events": "events.csv", "requests": "requests.csv", "candidates": "candidates.csv", "max_quarantined": 0.9}
ASKED = "request_id,user_id,at,surface,policy_id,seed,tier\n"
SHOWN = "request_id,item_id,stage,position,propensity,logged_p\n"


@pytest.fixture
def log(tmp_path):
    """log(requests, candidates, **settings) imports rows of CSV; returns the summary and the folder of tables."""
    runs = iter(range(99))

    def run(requests, candidates, rows_at_once=1000, erased=(), **more):
        (tmp_path / "events.csv").write_text(f"user_id,item_id,at,kind\nann,i1,{AT + 60},buy\nbob,i2,{AT + 60},buy\n")
        (tmp_path / "requests.csv").write_text(ASKED + "".join(f"{row}\n" for row in requests))
        (tmp_path / "candidates.csv").write_text(SHOWN + "".join(f"{row}\n" for row in candidates))
        out = tmp_path / f"run {next(runs)}"
        out.mkdir()
        settings = parse(DataConfig, {**GIVEN, **more}, where="shop.toml [data]")
        return import_log(settings, {}, base=tmp_path, out=out, now=NOW, rows_at_once=rows_at_once, erased=erased), out

    return run


def read(out, name):
    return pl.read_parquet(out / f"{name}.parquet")


def asked(name="r1", user="ann", at=AT, policy="p"):
    return f"{name},{user},{at},home,{policy},7,01"


def test_both_tables_come_through_in_the_shape_of_their_contract(log):
    rows = ["r1,i1,shown,1,0.5,1", "r1,new,considered,,,0.1", "r2,i1,shown,1,1,1"]
    summary, out = log([asked(), asked("r2", "cid", AT + 9)], rows)
    requests, candidates = read(out, "requests"), read(out, "candidates")
    assert {name: requests.schema[name] for name in REQUESTS.names} == dict(REQUESTS.schema())
    assert requests["tier"].to_list() == ["01", "01"], "a further column is a feature; a leading zero is no number"
    assert candidates.schema == CANDIDATES.schema()
    assert candidates.select("request_id", "item_id", "propensity").rows() == [
        ("r1", "i1", 0.5), ("r1", "new", None), ("r2", "i1", 1.0),
    ]  # fmt: skip
    assert (summary.read["candidates"], summary.kept["requests"], summary.quarantined["candidates"]) == (3, 2, {})
    assert summary.time_forms["requests.at"] == "epoch s"
    assert not [path for path in out.iterdir() if path.is_dir()]


def test_who_asks_and_what_is_shown_is_seen_before_anybody_acts(log):
    summary, out = log([asked(), asked("r2", "cid")], ["r1,i1,shown,1,0.5,1", "r2,new,shown,1,1,1"])
    users, items = read(out, "users"), read(out, "items")
    assert set(users["user_id"]) == {"ann", "bob", "cid"}
    since = dict(items.select("item_id", pl.col("valid_from").dt.epoch("s")).rows())
    assert since == {"i1": AT, "i2": AT + 60, "new": AT}
    assert summary.added == {"items": 3, "users": 3}


REQUEST_REASONS = [
    (asked(""), "no request_id"),
    (asked("x", ""), "no user_id"),
    (asked("x", at="soon"), "a time that can't be read"),
    (asked("x", at=100), "a time before 1990"),
    (asked("x", at=AT + 10**8), "a time more than a day after 2024-06-01"),
    (f"x,ann,{AT},,p,7,", "no surface"),
    (f"x,ann,{AT},home,,7,", "no policy_id"),
    (f"x,ann,{AT},home,p,,", "no seed"),
    (f"x,ann,{AT},home,p,1.5,", "a seed that can't be read"),
    (asked("r1", "bob"), "a key that an earlier row has"),
]


@pytest.mark.parametrize(("row", "reason"), REQUEST_REASONS, ids=[reason for _, reason in REQUEST_REASONS])
def test_requests_that_are_set_aside(log, row, reason):
    summary, out = log([asked(), asked("r2"), row], ["r1,i1,shown,1,0.5,1"])
    assert summary.quarantined["requests"] == {reason: 1}
    assert read(out, "requests")["request_id"].to_list() == ["r1", "r2"]
    (bad,) = read(out, "quarantine").rows(named=True)
    assert (bad["table"], bad["row"], bad["reason"]) == ("requests", 3, reason)


CANDIDATE_REASONS = [
    (",i2,shown,2,0.5,1", "no request_id"),
    ("r1,,shown,2,0.5,1", "no item_id"),
    ("r1,i2,,2,0.5,1", "no stage"),
    ("r1,i2,clicked,2,0.5,1", "a stage that is none of recalled, considered, shown"),
    ("r1,i2,shown,2,0.5,", "no logged_p"),
    ("r9,i2,shown,2,0.5,1", "a request that requests does not have"),
    ("bad,i2,shown,2,0.5,1", "a request that was set aside"),
    ("r1,i1,shown,2,0.5,1", "a key that an earlier row has"),
    ("r1,i2,shown,2,0,1", "a propensity outside (0, 1]"),
    ("r1,i2,shown,2,1.01,1", "a propensity outside (0, 1]"),
    ("r1,i2,shown,2,nan,1", "a propensity that is NaN or infinite"),
    ("r1,i2,recalled,,,0", "a logged_p outside (0, 1]"),
    ("r1,i2,shown,0,0.5,1", "a position below 1"),
    ("r1,i2,shown,,0.5,1", "no position, though shown by a policy that is not marked deterministic"),
    ("r1,i2,shown,2,,1", "no propensity, though shown by a policy that is not marked deterministic"),
]


@pytest.mark.parametrize(("row", "reason"), CANDIDATE_REASONS, ids=[f"{row} {reason}" for row, reason in CANDIDATE_REASONS])
@pytest.mark.parametrize("rows_at_once", [1000, 1])
def test_candidates_that_are_set_aside(log, row, reason, rows_at_once):
    summary, out = log([asked(), f"bad,ann,{AT},home,,7,"], ["r1,i1,shown,1,0.5,1", row], rows_at_once)
    assert summary.quarantined["candidates"] == {reason: 1}
    assert read(out, "candidates").select("request_id", "item_id").rows() == [("r1", "i1")]
    bad = read(out, "quarantine").filter(pl.col("table") == "candidates")
    known = not reason.endswith(("no request_id", "does not have"))
    assert bad.select("row", "user_id").rows() == [(2, "ann" if known else None)]


def test_a_policy_marked_deterministic_needs_neither_position_nor_propensity(log):
    rows = ["r1,i1,shown,,,1", "r2,i1,shown,,,1"]
    summary, _ = log([asked(), asked("r2", policy="best first")], rows, deterministic_policies=["best first"])
    assert sum(summary.quarantined["candidates"].values()) == 1
    assert summary.kept["candidates"] == 1


def test_too_many_bad_rows_are_refused_and_named(log):
    says = r'(?s)candidates.csv: 1 of 2 rows quarantined.*first: row 2 \(user null, item "i2", request_id "r9"\)'
    with pytest.raises(DataError, match=says):
        log([asked()], ["r1,i1,shown,1,0.5,1", "r9,i2,shown,2,0.5,1"], max_quarantined=0.01)


def test_erased_users_leave_no_trace_of_what_they_asked(log):
    requests = [asked(), asked("r2", "bob"), f"r3,bob,{AT},home,,7,"]
    candidates = ["r1,i1,shown,1,0.5,1", "r2,i1,shown,1,0.5,1", "r3,i1,shown,1,0.5,1", "r2,i2,none,2,0.5,1"]
    summary, out = log(requests, candidates, erased=["bob"])
    assert summary.erased == 1 + 2 + 3, "an event, two requests, what was shown for them"
    assert summary.quarantined == {"events": {}, "items": {}, "users": {}, "requests": {}, "candidates": {}}
    assert read(out, "candidates")["request_id"].to_list() == ["r1"]
    for path in out.rglob("*.parquet"):
        assert b"bob" not in path.read_bytes()
        assert b"r2" not in path.read_bytes()


def test_forgetting_reaches_them_and_what_of_them_was_set_aside(log):
    bad = ["r2,i2,none,2,0.5,1", "r3,i1,shown,1,0.5,1"]
    _, out = log([asked(), asked("r2", "bob"), f"r3,bob,{AT},home,,7,"], ["r1,i1,shown,1,0.5,1", "r2,i1,shown,1,0.5,1", *bad])
    removed = forget_in_tables(out, "bob")
    assert removed == {"events": 1, "requests": 1, "candidates": 1, "quarantine": 3, "users": 1}
    for path in out.rglob("*.parquet"):
        assert b"bob" not in path.read_bytes()
        assert not any(name in path.read_bytes() for name in (b"r2", b"r3"))


def test_columns_are_mapped_as_in_the_other_tables(tmp_path, log):
    log([asked()], ["r1,i1,shown,1,0.5,1"])
    for name in ("requests", "candidates"):
        path = tmp_path / f"{name}.csv"
        path.write_text(path.read_text().replace("request_id", "impression"))
    out = tmp_path / "mapped"
    out.mkdir()
    columns = {"requests": {"request_id": "impression"}, "candidates": {"request_id": "impression"}}
    settings = parse(DataConfig, {**GIVEN, "columns": columns}, where="test")
    assert import_log(settings, {}, base=tmp_path, out=out, now=NOW).kept["candidates"] == 1
    wrong = parse(DataConfig, {**GIVEN, "columns": {"requests": {"request_id": "impresion"}}}, where="test")
    with pytest.raises(ConfigError, match=r'\[data.columns.requests\] request_id = "impresion".* Did you mean "impression"'):
        import_log(wrong, {}, base=tmp_path, out=out, now=NOW)


def test_scores_of_stages_come_as_lists(tmp_path, log):
    """The fields in any order; text can't hold them."""
    log([asked()], ["r1,i1,shown,1,0.5,1"])
    row = {"request_id": "r1", "item_id": "i1", "stage": "shown", "position": 1, "propensity": 0.5, "logged_p": 1.0}
    pl.DataFrame([{**row, "scores": [{"score": 1, "stage": "rank"}]}]).write_parquet(tmp_path / "c.parquet")
    out = tmp_path / "scored"
    out.mkdir()
    import_log(parse(DataConfig, {**GIVEN, "candidates": "c.parquet"}, where=""), {}, base=tmp_path, out=out, now=NOW)
    assert read(out, "candidates")["scores"].to_list() == [[{"stage": "rank", "score": 1.0}]]
    pl.DataFrame([{**row, "scores": "rank=1"}]).write_csv(tmp_path / "c.csv")
    with pytest.raises(DataError, match='"scores" is String, expected lists of {stage, score}: Parquet or JSONL'):
        import_log(parse(DataConfig, {**GIVEN, "candidates": "c.csv"}, where=""), {}, base=tmp_path, out=out, now=NOW)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"events": "e.csv", "candidates": "c.csv"}, "candidates and no requests"),
        ({**GIVEN, "clock": "ordinal"}, 'requests have times, but the clock is "ordinal"'),
        ({"dataset": "open-bandit", "requests": "r.csv"}, 'both dataset = "open-bandit" and requests'),
    ],
)
def test_settings_that_do_not_fit(settings, says):
    with pytest.raises(ConfigError, match=says):
        check_sources(parse(DataConfig, settings, where="test"))


def some_impressions(folder, n_requests, shown=5):
    """As Parquet; among them bad rows of each table, doubles and candidates of requests nobody made."""
    draw = rng(0, "impressions")
    users = draw.integers(50, size=n_requests)
    requests = pl.DataFrame({
        "request_id": [f"r{n}" for n in range(n_requests)], "user_id": [f"u{n}" for n in users],
        "at": AT + draw.integers(10**6, size=n_requests), "surface": "home", "policy_id": "p", "seed": 0,
        "age": draw.integers(90, size=n_requests),
    }).with_columns(seed=pl.when(pl.int_range(pl.len()) % 97 != 0).then("seed"))  # fmt: skip
    row = draw.integers(int(n_requests * 1.02), size=n_requests * shown)
    candidates = pl.DataFrame({
        "request_id": [f"r{n}" for n in row], "item_id": [f"i{n}" for n in draw.integers(40, size=len(row))], "stage": "shown",
        "position": draw.integers(1, 10, len(row)), "propensity": draw.integers(0, 30, len(row)) / 29, "logged_p": 1.0,
    })  # fmt: skip
    pl.concat([requests, requests.head(9)]).write_parquet(folder / "requests.parquet")
    candidates.write_parquet(folder / "candidates.parquet", row_group_size=20_000)
    events = candidates.head(200).select("item_id", user_id=pl.lit("u1"), at=pl.lit(AT + 10**6), kind=pl.lit("buy"))
    events.unique().write_parquet(folder / "events.parquet")


def imported(folder, rows_at_once, **more):
    out = folder / f"out-{rows_at_once}"
    out.mkdir()
    names = {name: f"{name}.parquet" for name in ("events", "requests", "candidates")}
    settings = parse(DataConfig, {**names, "max_quarantined": 0.5}, where="test")
    return out, import_log(settings, {}, base=folder, out=out, now=NOW, rows_at_once=rows_at_once, **more)


def test_in_parts_is_as_whole(tmp_path):
    some_impressions(tmp_path, 400)
    (whole, one), (parts, other) = (imported(tmp_path, at_once, erased=["u7"]) for at_once in (10_000, 300))
    assert one == other
    assert set(one.quarantined["candidates"]) == {
        "a request that requests does not have", "a request that was set aside", "a key that an earlier row has",
        "a propensity outside (0, 1]",
    }  # fmt: skip
    for name, key in (("requests", ["request_id"]), ("candidates", CANDIDATES.key), ("quarantine", ["table", "row", "reason"])):
        assert read(whole, name).sort(key).equals(read(parts, name).sort(key)), name
    for name in ("items", "users"):
        assert read(whole, name).equals(read(parts, name))


def test_labels_are_read_from_what_was_imported(log):
    _, out = log([asked(), asked("r2", "bob")], ["r1,i1,shown,1,0.5,1", "r2,i1,shown,1,0.5,1", "r2,i2,considered,,,1"])
    made = labels_of(out, TaskConfig(event="buy", window_h=1), (AT + 10_000) * 1_000_000)
    assert made.rows.select("request_id", "item_id", "label").rows() == [("r1", "i1", 1), ("r2", "i1", 0)]
    assert made.uncredited == 1, "bob bought what was not shown"


IMPORT = """
import re, sys
from pathlib import Path
from tests.data.test_impression_import import imported
def peak_mb():  # of this program: what getrusage says is also that of the process it was forked from
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = peak_mb()
_, summary = imported(Path(sys.argv[1]), int(sys.argv[2]))
print(summary.kept["candidates"], peak_mb() - before)
"""


def test_memory_follows_the_part_and_not_the_log(tmp_path):
    """A real process: what it needs beyond its libraries, measured."""
    some_impressions(tmp_path, 60_000)
    peak_mb = {}
    for rows_at_once in (20_000, 300_000):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT, tmp_path, str(rows_at_once)], capture_output=True, text=True, check=True,
            env={**os.environ, "POLARS_MAX_THREADS": "2"},  # each has memory of its own, however many cores there are
        )  # fmt: skip
        kept, peak_mb[rows_at_once] = map(int, done.stdout.split())
        assert kept > 200_000
    assert peak_mb[20_000] < 0.6 * peak_mb[300_000], peak_mb
