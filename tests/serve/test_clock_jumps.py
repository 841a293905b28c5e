"""The server's clock jumps back and forth by hours while it serves: nothing that was promised hangs on it."""

import ast
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

import headrace.serve
from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from headrace.serve.logs.events import served_events
from tests.serve.test_app import bought, items
from tests.serve.test_app import serving as started

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WALL = ("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today")
JUMPS_H = (0, 3, -5, 30, -30, 2, -700, 700)
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


class Clock:
    """What the server takes for the time: hours off, and going on by a second a look."""

    def __init__(self):
        self.off_h, self.looks = 0, 0

    def __call__(self):
        self.looks += 1
        return int((START + timedelta(hours=self.off_h, seconds=self.looks)).timestamp() * 1e6)


@contextmanager
def served(run, clock, **settings):
    app = create_app(run, ServeConfig(**{"rotate_s": 0.2, "unshown_share": 1.0, "runtime": "torch", **settings}), clock)
    with TestClient(app) as client:
        yield client, app.state.serving


def told(client, user, name):
    """Asks, has the first item, asks again: what one wrote is read, whatever the clock says."""
    asked = {"user_id": user, "request_id": f"{name} before", "deadline_ms": 60_000}
    first = client.post("/v1/recommend", json=asked).json()
    assert first["degraded"] == [], "a minute is a minute of the clock that only goes on"
    item, at = items(first)[0], (START - timedelta(days=31)).isoformat()
    sent = bought(user, item, event_id=name, at=at, request_id=f"{name} before")
    assert client.post("/v1/events", json=sent).json()["stored"] == 1
    after = client.post("/v1/recommend", json={"user_id": user, "request_id": f"{name} after"}).json()
    assert item not in items(after)
    assert items(client.post("/v1/recommend", json=asked).json()) == items(first), "sent again"
    assert client.post("/v1/events", json=sent).json()["repeated"] == 1
    for one in (first, after):
        assert client.get(f"/v1/explain/{one['request_id']}").json()["worked_out_again"]
    return item


def test_answers_histories_and_logs_hold(own_run):
    clock, had = Clock(), []
    with served(own_run, clock) as (client, serving):
        for number, off_h in enumerate(JUMPS_H):
            clock.off_h = off_h
            had.append(told(client, f"c{number % 2}", f"jump {number}"))
        service = serving.service
        names = [f"jump {number} {when}" for number in range(len(JUMPS_H)) for when in ("before", "after")]
        moments = [service.remembered(name).asked.at_us for name in names]
        assert moments == sorted(set(moments)), "requests and events have one order"
        known = service.state.history(["c0"], np.array([service.now_us()]))
        assert {service.names.ids[one] for one in known.items[-len(JUMPS_H) // 2 :]} == set(had[::2])
    logged = pl.concat(served_events(own_run / "served"))
    assert sorted(logged["event_id"]) == [f"jump {number}" for number in range(len(JUMPS_H))]
    received = logged.sort(pl.col("event_id").str.slice(5).cast(pl.Int32))["received_at"].to_list()
    assert received == sorted(received)
    for table, column in (("events", "received_at"), ("requests", "at")):
        for path in (own_run / "served" / table).glob("*/*.parquet"):
            assert set(pl.read_parquet(path)[column].dt.date().cast(pl.String)) == {path.parent.name}
    requests = pl.read_parquet(own_run / "served" / "requests" / "*" / "*.parquet")
    assert not requests["request_id"].is_duplicated().any()
    assert len(requests) == 2 * len(JUMPS_H)


def test_what_was_acknowledged_is_known_after_a_restart_with_the_clock_behind(own_run):
    clock = Clock()
    with served(own_run, clock) as (client, _):
        item = told(client, "c3", "before it was put right")
    clock.off_h = -3
    with served(own_run, clock) as (client, serving):
        service = serving.service
        known = service.state.history(["c3"], np.array([service.now_us()]))
        assert service.names.ids[known.items[-1]] == item
        assert item not in items(client.post("/v1/recommend", json={"user_id": "c3"}).json())
        told(client, "c3", "afterwards")


def test_while_the_clock_is_behind_right_ones_are_ahead(own_run):
    """An event dated in the future is taken in, and counts once its time has come."""
    clock = Clock()
    with served(own_run, clock) as (client, _):
        clock.off_h = -5
        item = items(client.post("/v1/recommend", json={"user_id": "c4"}).json())[0]
        sent = bought("c4", item, event_id="by a right clock", at=START.isoformat())
        assert client.post("/v1/events", json=sent).json()["stored"] == 1
        clock.off_h = 1
        for number in range(5):
            assert item not in items(client.post("/v1/recommend", json={"user_id": "c4", "seed": number}).json())
        refused = client.post("/v1/events", json=bought("c4", item, at=(START + timedelta(days=2)).isoformat()))
        assert refused.status_code == 422


def test_who_looks_at_the_wall_clock_is_known():
    """Deadlines, rates, windows and files' ages go by clocks that only go on; these say when something was."""
    may = {
        "state/redis_moments.py", "service.py", "guard/keys.py", "console/jobs.py", "live/guardrails.py",
        "bench/traffic.py", "bench/freshness.py", "workers/processes.py",
        "state/moments.py", "console/overview.py", "workers/seen.py", "logs/following.py",
    }  # fmt: skip
    root, found = Path(headrace.serve.__path__[0]), set[str]()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in WALL:
                found.add(path.relative_to(root).as_posix())
    assert found <= may


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not there: apt-get install libfaketime")
def test_a_process_whose_clock_jumps(own_run, tmp_path):
    """A started server; its clock is moved by a file, and the one that only goes on is left alone."""
    file = tmp_path / "clock"
    file.write_text("+0")
    fake = {
        "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    }  # fmt: skip
    with started(own_run, **fake) as (client, _):
        for number, off in enumerate(("+0", "+5h", "-5h", "+30d", "+0")):
            (beside := file.with_name("next")).write_text(off)
            beside.replace(file)  # it is read at any moment
            told(client, f"c{number}", f"jump {number}")
    logged = pl.concat(served_events(own_run / "served"))
    assert sorted(logged["event_id"]) == [f"jump {number}" for number in range(5)]
    newest = logged["received_at"].max()
    assert isinstance(newest, datetime)
    ahead = newest - datetime.now(UTC)
    assert timedelta(days=29) < ahead < timedelta(days=31), "it did jump"
