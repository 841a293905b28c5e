"""A log imported in parts is the log imported whole; and memory follows the part, not the log."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import polars as pl
import pytest

from headrace.contracts.config import parse
from headrace.contracts.errors import DataError
from headrace.contracts.kinds import Kind
from headrace.contracts.rng import rng
from headrace.data.event_parts import scan_events
from headrace.data.importing import DataConfig, import_log

NOW = datetime(2024, 6, 1, tzinfo=UTC)
KINDS = {"view": Kind(), "rate": Kind(min_value=1, max_value=5)}
ORDER = ["user_id", "at", "event_id"]


def some_rows(n=600, ids=False):
    draw = rng(0, "rows")
    frame = pl.DataFrame({
        "user_id": draw.integers(40, size=n), "item_id": draw.integers(30, size=n),
        "at": 1_700_000_000 + draw.integers(300, size=n), "kind": ["view", "rate"] * (n // 2), "value": draw.integers(1, 6, n),
    }).with_columns(pl.col("user_id", "item_id").cast(pl.Float64))  # fmt: skip
    bad = frame.head(12).with_columns(value=pl.lit(9, pl.Int64), kind=pl.lit("rate"))
    frame = pl.concat([frame, bad, frame.head(5)])
    return frame.with_columns(event_id=pl.int_range(pl.len()) % (n - 20)) if ids else frame


def run(folder, name, rows_at_once, **more):
    out = folder / f"{name}-{rows_at_once}"
    out.mkdir(exist_ok=True)
    settings = parse(DataConfig, {"events": name, "max_quarantined": 0.2, **more}, where="test")
    summary = import_log(settings, KINDS, base=folder, out=out, now=NOW, rows_at_once=rows_at_once)
    return out, summary


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("ids", [False, True])
def test_parts_hold_what_the_whole_holds(tmp_path, suffix, ids):
    """Ids written as 7.0, duplicates of rows and of keys (under several users too), values out of range."""
    frame = some_rows(ids=ids)
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[suffix](tmp_path / f"e.{suffix}")
    (whole, one), (parts, other) = (run(tmp_path, f"e.{suffix}", at_once) for at_once in (10_000, 70))
    assert len(list((parts / "events").iterdir())) > 5
    assert scan_events(whole).collect().sort(ORDER).equals(scan_events(parts).collect().sort(ORDER))
    for path in (parts / "events").iterdir():
        part = pl.read_parquet(path)
        assert part.equals(part.sort("user_id", "at", maintain_order=True))
    for name in ("items", "users"):
        assert pl.read_parquet(whole / f"{name}.parquet").equals(pl.read_parquet(parts / f"{name}.parquet"))
    bad = [pl.read_parquet(folder / "quarantine.parquet").sort("row", "reason") for folder in (whole, parts)]
    assert bad[0].equals(bad[1])
    assert one == other
    assert sum(one.quarantined["events"].values()) > 12
    assert {path.name for path in parts.iterdir()} == {
        "events",
        "clock.json",
        "items.parquet",
        "users.parquet",
        "quarantine.parquet",
    }


def test_a_users_events_stand_in_one_part(tmp_path):
    some_rows().write_parquet(tmp_path / "e.parquet")
    out, _ = run(tmp_path, "e.parquet", 70)
    users = [set(pl.read_parquet(path)["user_id"]) for path in sorted((out / "events").iterdir())]
    assert sum(map(len, users)) == len(set.union(*users)) == 40


def test_the_unit_of_times_is_that_of_the_whole_file(tmp_path):
    """In a part of their own, one user's numbers would be seconds of the year 3871: they are milliseconds of 1971."""
    at = [1_700_000_000_000 + n for n in range(200)] + [60_000_000_000 + n for n in range(3)]
    users = [f"u{n % 20}" for n in range(200)] + ["early"] * 3
    pl.DataFrame({"user_id": users, "item_id": "i", "at": at, "kind": "view"}).write_csv(tmp_path / "e.csv")
    (whole, one), (parts, other) = (run(tmp_path, "e.csv", at_once) for at_once in (1000, 10))
    assert one == other
    assert one.time_forms == {"events.at": "epoch ms"}
    assert one.quarantined["events"] == {"a time before 1990": 3}
    assert scan_events(whole).collect().sort(ORDER).equals(scan_events(parts).collect().sort(ORDER))


def test_ids_are_read_as_the_whole_file_writes_them(tmp_path):
    """ "7.0" is 7 where all ids are numbers; here one is not, though it stands in another part."""
    rows = "".join(f"u{n % 20},{'x' if n % 20 == 3 else f'{n % 20}.0'},{1_700_000_000 + n},view\n" for n in range(100))
    (tmp_path / "e.csv").write_text("user_id,item_id,at,kind\n" + rows)
    for at_once in (1000, 10):
        out, _ = run(tmp_path, "e.csv", at_once)
        items = scan_events(out).collect()["item_id"].unique().to_list()
        assert sorted(items) == sorted(["x", *(f"{n}.0" for n in range(20) if n != 3)])


def test_too_many_bad_rows_are_refused_and_shown(tmp_path):
    some_rows().write_parquet(tmp_path / "e.parquet")
    with pytest.raises(DataError, match=r"(?s)17 of 617 rows quarantined.*first: row 601"):
        run(tmp_path, "e.parquet", 70, max_quarantined=0.01)
    assert pl.read_parquet(tmp_path / "quarantine.parquet").height == 17
    assert not list((tmp_path / "e.parquet-70").iterdir()), "nothing half-imported stays"


IMPORT = """
import re, sys
from pathlib import Path
from headrace.contracts.config import parse
from headrace.data.importing import DataConfig, import_log
from headrace.data.log import Log
folder, rows_at_once = Path(sys.argv[1]), int(sys.argv[2])
def peak_mb():  # of this program: what getrusage says is also that of the process it was forked from
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = peak_mb()
out = folder / sys.argv[2]
(out / "histories").mkdir(parents=True)
summary = import_log(parse(DataConfig, {"events": "e.parquet"}, where=""), {}, base=folder, out=out, rows_at_once=rows_at_once)
log = Log.from_tables(out, histories=out / "histories")
print(summary.kept["events"], len(log.store.events.items), peak_mb() - before)
"""


def test_memory_follows_the_part_and_not_the_log(tmp_path):
    """A real process: what it needs beyond its libraries, measured. Whole, the same log takes several times as much."""
    draw, n = rng(0, "large"), 400_000
    pl.DataFrame({
        "user_id": draw.integers(20_000, size=n), "item_id": draw.integers(2000, size=n),
        "at": 1_600_000_000 + draw.integers(10**7, size=n), "kind": "view",
    }).write_parquet(tmp_path / "e.parquet", row_group_size=20_000)  # fmt: skip
    peak_mb = {}
    for rows_at_once in (20_000, 400_000):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT, tmp_path, str(rows_at_once)], capture_output=True, text=True, check=True,
            env={**os.environ, "POLARS_MAX_THREADS": "2"},  # each has memory of its own, however many cores there are
        )  # fmt: skip
        kept, stored, peak_mb[rows_at_once] = map(int, done.stdout.split())
        assert kept == stored > 399_000
    assert peak_mb[20_000] < 100 < 0.6 * peak_mb[400_000], peak_mb
