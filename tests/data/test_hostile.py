"""Input that breaks things, each through the whole import: a clear error or a correct log, and never a silent drop."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from headrace.contracts.config import parse
from headrace.contracts.errors import ArtifactError, DataError, HeadraceError
from headrace.data.event_parts import scan_events
from headrace.data.holdouts import ByUser, GlobalTemporal, LeaveLast
from headrace.data.importing import DataConfig, import_log
from headrace.data.log import Log

NOW = datetime(2024, 6, 1, tzinfo=UTC)
HEADER = "user_id,item_id,at,kind\n"
T0 = 1_700_000_000


@pytest.fixture(params=["whole", "in parts"])
def run(tmp_path, request):
    """run(text or frame) imports it, whole or in about four parts, and returns the summary and the log."""

    def run(events, name="events.csv", **more):
        if events is None:
            pass
        elif isinstance(events, pl.DataFrame):
            events.write_parquet(tmp_path / "events.parquet")
            name = "events.parquet"
        else:
            (tmp_path / name).write_bytes(events if isinstance(events, bytes) else events.encode())
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        rows = len(events) if isinstance(events, pl.DataFrame) else len((events or "").splitlines())
        at_once = 1_000_000 if request.param == "whole" else max(rows // 4, 1)
        settings = parse(DataConfig, {"events": name, "timezone": "UTC", **more}, where="test")
        summary = import_log(settings, {}, base=tmp_path, out=out, now=NOW, rows_at_once=at_once)
        return summary, Log.from_tables(out)

    return run


def refused(run, events, says, **more):
    with pytest.raises(HeadraceError, match=says) as error:
        run(events, **more)
    assert "Traceback" not in str(error.value)


def test_an_empty_log(run):
    refused(run, HEADER, "events.csv has no rows")
    refused(run, "", "events.csv is empty: not even a header")
    refused(run, pl.DataFrame(schema={"user_id": pl.String, "item_id": pl.String, "at": pl.Int64}), "events.parquet has no rows")


def test_one_user(run):
    summary, log = run(HEADER + "".join(f"u,i{n},{T0 + n},view\n" for n in range(10)))
    assert (summary.kept["events"], len(log.users), log.store.events.lengths.tolist()) == (10, 2, [0, 10])
    held = GlobalTemporal(valid_share=0.2, test_share=0.2).of(log)
    assert len(held.train().history.items) + len(held.valid()[0]) + len(held.test()[0]) == 10
    with pytest.raises(DataError, match="by user: no event is left to learn from"):
        ByUser(valid_share=0.01, test_share=0.98).of(log).train()


def test_one_item(run):
    _, log = run(HEADER + "".join(f"u{n % 3},i,{T0 + n},view\n" for n in range(12)))
    assert log.available(2**62).tolist() == [False, True]
    held = LeaveLast().of(log)
    assert len(held.test()[0]) == 0, "nobody can be recommended what they had"
    assert len(held.test(unseen_only=False)[0]) == 3


def test_all_events_at_one_moment(run):
    summary, log = run(HEADER + "".join(f"u{n % 2},i{n},{T0},view\n" for n in range(10)))
    assert (summary.tied_share, log.tied_share) == (1.0, 1.0)
    requests, answers = log.steps(T0 * 10**6, T0 * 10**6 + 1)
    assert (len(requests), answers.lengths.tolist(), len(requests.history.items)) == (2, [5, 5], 0)
    with pytest.raises(DataError, match="1 different times"):
        GlobalTemporal().of(log)


STRANGE = ['a,"b"', "🦄🦄", "x" * 10_000, "tab\tnewline\n", "null", "NaN", "../../etc", "'; --", "é", "e\u0301", "\u200b", "0x1f"]


@pytest.mark.parametrize("typed", [True, False])
def test_strange_ids_stay_themselves(run, typed):
    frame = pl.DataFrame(
        {"user_id": STRANGE, "item_id": STRANGE[::-1], "at": [T0 + n for n in range(len(STRANGE))], "kind": "view"}
    )
    summary, log = run(frame if typed else frame.write_csv(quote_style="always"))
    assert summary.kept["events"] == len(STRANGE)
    assert sorted(log.users.ids) == sorted(log.items.ids) == sorted(STRANGE)
    for user, item in zip(STRANGE, STRANGE[::-1], strict=True):
        past = log.requests(log.users.encode([user]), np.array([2**62])).history
        assert log.items.decode(past.items) == [item]


@pytest.mark.parametrize(
    ("times", "read"),
    [
        ([T0, T0 + 1], 10**6 * T0),
        ([T0 * 1000, T0 * 1000 + 1000], 10**6 * T0),
        (["2023-11-14T22:13:20Z", "2023-11-14T23:13:21+01:00"], 10**6 * T0),
        (["2023-11-15T03:43:20.5+05:30", "2023-11-14 22:13:21.5"], 10**6 * T0 + 500_000),
        ([f"{T0}", "2023-11-14T22:13:21Z"], 10**6 * T0),
    ],
)
def test_times_however_written(run, times, read):
    _, log = run(HEADER + "".join(f"u{n},i,{at},view\n" for n, at in enumerate(times)))
    assert sorted(log.store.events.at_us.tolist()) == [read, read + 10**6]


def test_times_in_the_future_are_set_aside_and_shown(run):
    body = "".join(f"u{n},i,{T0 + n},view\n" for n in range(200))
    summary, log = run(HEADER + body + "late,i,2000000000,view\n")
    assert summary.quarantined["events"] == {"a time more than a day after 2024-06-01": 1}
    assert "late" not in log.users.ids
    refused(run, HEADER + body.replace(f"{T0}"[:3], "200"), "200 of 200 rows quarantined")


def test_values_that_are_no_numbers_are_set_aside(run):
    values = [1.0] * 300 + [float("nan"), float("inf"), float("-inf")]
    frame = pl.DataFrame({"user_id": [f"u{n}" for n in range(303)], "item_id": "i", "at": [T0 + n for n in range(303)],
                          "kind": "view", "value": values})  # fmt: skip
    summary, _ = run(frame)
    assert summary.quarantined["events"] == {"a value that is NaN or infinite": 3}
    nowhen = frame.with_columns(at=pl.lit(float("nan")))
    refused(run, nowhen, "303 of 303 rows quarantined.*303 have a time that can't be read")


def test_a_truncated_parquet_file(run, tmp_path):
    pl.DataFrame({"user_id": ["u"] * 500, "item_id": "i", "at": range(T0, T0 + 500), "kind": "view"}).write_parquet(
        tmp_path / "whole"
    )
    content = (tmp_path / "whole").read_bytes()
    for keep in (0, 3, len(content) // 2, len(content) - 1):
        refused(run, content[:keep], "cut short|is empty", name="cut.parquet")
    torn = bytearray(content)
    torn[20 : len(content) // 3] = bytes(len(content) // 3 - 20)
    refused(run, bytes(torn), "torn.parquet", name="torn.parquet")


def test_a_header_that_changes_half_way(run):
    first = HEADER + "".join(f"u{n},i,{T0 + n},view\n" for n in range(20))
    swapped = "item_id,user_id,kind,at\n" + "".join(f"i,u{n},view,{T0 + n}\n" for n in range(20))
    refused(run, first + swapped, r"21 of 41 rows quarantined.*21 have a time that can't be read")
    wider = HEADER.strip() + ",value\n" + "".join(f"u{n},i,{T0 + n},view,1\n" for n in range(20))
    refused(run, first + wider, "row 21 of events.csv has 5 fields, its header has 4")


def test_a_folder_whose_files_disagree(run, tmp_path):
    (tmp_path / "log").mkdir()
    frame = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "at": [T0], "kind": ["view"]})
    frame.write_parquet(tmp_path / "log" / "a.parquet")
    frame.rename({"kind": "sort"}).write_parquet(tmp_path / "log" / "b.parquet")
    refused(run, None, "extra column.*sort", name="log")


def test_a_file_where_the_output_folder_should_be(tmp_path):
    (tmp_path / "e.csv").write_text(HEADER + f"u,i,{T0},view\n")
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(ArtifactError, match="out: could not be written"):
        import_log(parse(DataConfig, {"events": "e.csv"}, where=""), {}, base=tmp_path, out=tmp_path / "out", now=NOW)


FULL = """
import resource, sys
from pathlib import Path
from headrace.contracts.config import parse
from headrace.contracts.errors import HeadraceError
from headrace.data.importing import DataConfig, import_log
folder, out = Path(sys.argv[1]), Path(sys.argv[1]) / "out"
out.mkdir()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    import_log(parse(DataConfig, {"events": "e.csv"}, where=""), {}, base=folder, out=out, rows_at_once=int(sys.argv[3]))
except HeadraceError as error:
    print(error)
"""


@pytest.mark.parametrize(("limit", "rows_at_once"), [(100, 10**6), (20_000, 10**6), (2_000, 500)])
def test_a_disk_that_fills_up(tmp_path, limit, rows_at_once):
    """A real process that may write no file larger than the limit, as a full disk would have it."""
    (tmp_path / "e.csv").write_text(HEADER + "".join(f"u{n % 97},i{n % 89},{T0 + n},view\n" for n in range(3000)))
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path, str(limit), str(rows_at_once)], capture_output=True, text=True, check=True
    )
    assert "out: could not be written (File too large). Make room" in done.stdout
    assert not done.stderr
    assert not list((tmp_path / "out").glob("events*")), "no half-written events"
    assert not list((tmp_path / "out").glob(".import-*"))


def test_whatever_is_read_is_kept_or_shown(run):
    """Good rows, bad rows and doubles in one file: the sums agree."""
    good = "".join(f"u{n % 9},i{n % 7},{T0 + n},view\n" for n in range(100))
    bad = ",i,1,view\nu,,1,view\nu,i,soon,view\nu,i,1,\n" + good.splitlines()[0] + "\n"
    summary, log = run(HEADER + good + bad, max_quarantined=0.5)
    assert summary.read["events"] == 105 == summary.kept["events"] + sum(summary.quarantined["events"].values())
    assert len(log.store.events.items) == summary.kept["events"] == 100
    assert scan_events(log.tables).collect().height == 100
    assert pl.read_parquet(log.tables / "quarantine.parquet").height == 5
