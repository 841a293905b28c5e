"""What was acknowledged is there after the server was killed, and after its disk was full: once, and served."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from headrace.serve.logs.events import served_events
from tests.serve.test_app import bought, items, serving
from tests.serve.workers.started import until

WRITERS, ENOUGH = 4, 60


def with_settings(run, **serve):
    path = run / "plan.json"
    kept = json.loads(path.read_text())
    kept["toml"]["serve"] = serve
    path.write_text(json.dumps(kept))


def acknowledged(client, stop, into, who):
    """Sends events until the server is gone; those it said it had kept go into the list."""
    number = 0
    while not stop.is_set():
        sent = bought(who, f"p{number % 8}", event_id=f"{who}-{number}")
        try:
            answer = client.post("/v1/events", json=sent)
        except httpx.TransportError:
            return
        assert answer.json()["stored"] == 1
        into.append(sent)
        number += 1


def test_a_killed_server_loses_nothing_it_acknowledged(own_run):
    with_settings(own_run, rotate_s=1000.0)
    kept: list[dict[str, str]] = []
    stop = threading.Event()
    with serving(own_run) as (client, server):
        writers = [threading.Thread(target=acknowledged, args=(client, stop, kept, f"c{n}")) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        until(lambda: len(kept) >= ENOUGH or server.poll() is not None)
        server.send_signal(signal.SIGKILL)
        for writer in writers:
            writer.join()
    assert server.returncode == -signal.SIGKILL
    assert not list((own_run / "served" / "events").rglob("*.parquet")), "it was killed before a file was closed"
    with serving(own_run) as (client, _):
        assert client.post("/v1/events", json=kept).json() == {"stored": 0, "repeated": len(kept), "erased": 0}
        for who in {one["user_id"] for one in kept}:
            had = {one["item_id"] for one in kept if one["user_id"] == who}
            assert not had & set(items(client.post("/v1/recommend", json={"user_id": who}).json()))
    logged = [one for events in served_events(own_run / "served") for one in events["event_id"]]
    assert len(logged) == len(set(logged))
    assert {one["event_id"] for one in kept} <= set(logged)
    assert len(logged) <= len(kept) + WRITERS, "at most those that were under way"


MOUNTED = 'mount -t tmpfs -o size=4m tmpfs "$1/served" || exit 77; exec "$2" -m tests.serve.small_disk "$1"'


def test_a_full_disk_refuses_events_keeps_those_it_took_and_goes_on_when_there_is_room(own_run):
    """On a real file system of 4 MB, which takes a mount in a namespace of its own."""
    (own_run / "served").mkdir()
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNTED, "sh", str(own_run), sys.executable]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=Path(__file__).parents[2])
    except FileNotFoundError:
        pytest.skip("unshare is not there")
    if ran.returncode == 77 or ran.stderr.startswith("unshare:"):
        pytest.skip(f"no mount is allowed here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert (told["refused"], told["status"]) == (5, 507)
    assert "disk is full" in told["says"]
    assert told["taken"] >= 100
    assert (told["lost"], told["twice"], told["after"]) == (0, 0, 1)
    assert told["answered_meanwhile"] == [200]
    assert told["unnoted"] > 0, "what can't be remembered is said"
    assert told["remembered"], "and is again once there is room"
    assert told["in_files"] == told["taken"] + 1
