"""A user leaves what a server wrote, with the server stopped and with it running."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from headrace.cascade.run import open_run
from headrace.data.forget import ERASED, record_erasure
from headrace.serve.logs.events import served_events
from headrace.serve.logs.forgetting import forget_served
from headrace.serve.messages import Event
from headrace.serve.service import Service
from headrace.serve.state.layered import LayeredState
from tests.cli.forked import Forked
from tests.serve.test_app import bought, items, serving

HEADRACE = Path(sys.executable).parent / "headrace"
WHO = "somebody who wants to be forgotten"


def visit(service, users, times=4):
    for number in range(times):
        for user in users:
            service.recommend(user, f"{user} {number}")
            event = bought(user, f"p{number}", event_id=f"{user}/{number}", request_id=f"{user} {number}")
            service.receive([Event(**event)])


def tables_in(root):
    return {name: pl.read_parquet(sorted((root / name).glob("*/*.parquet"))) for name in ("events", "requests", "candidates")}


def test_no_file_holds_the_user_and_all_else_is_as_it_was(pipeline, tmp_path):
    service = Service(pipeline, tmp_path)
    visit(service, [WHO, "c1", "c2"])
    service.close()
    before = tables_in(tmp_path)
    half = tmp_path / "requests" / "2026-01-01" / ".00001.parquet.new"  # of a process that was killed
    half.parent.mkdir()
    half.write_bytes(b"PAR1" + WHO.encode())
    rows = forget_served(tmp_path, WHO, map_gb=0.1)
    after = tables_in(tmp_path)
    theirs = pl.col("request_id").str.starts_with(WHO)
    assert rows == {"state": 4, "events": 4, "requests": 4, "candidates": len(before["candidates"].filter(theirs))}
    for name, frame in before.items():
        assert after[name].equals(frame.filter(~theirs)), name
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and WHO.encode() in path.read_bytes()]
    assert not list(tmp_path.rglob(".*.new"))
    assert forget_served(tmp_path, WHO, map_gb=0.1) == {}

    again = Service(pipeline, tmp_path)
    assert again.state.history([WHO, "c1"], again.now_us() * pl.Series([1, 1]).to_numpy()).lengths.tolist()[0] == 0
    assert again.receive([Event(**bought(WHO, "p3"))]).model_dump() == {"stored": 0, "repeated": 0, "erased": 1}
    again.close()


def test_a_state_that_was_never_there_is_no_mistake(tmp_path):
    assert forget_served(tmp_path / "served", WHO, map_gb=0.1) == {}


def forget_from_outside(run, user):
    ran = subprocess.run([HEADRACE, "forget", run, user], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_running_service_knows_them_no_more_and_writes_nothing_of_theirs(own_run):
    """What was asked and sent before and waits in memory is not written either; others are served on."""
    service = Service(open_run(own_run), own_run / "served")
    visit(service, ["c5", "c6"])
    shown = {one.item_id for one in service.recommend("c5", "before").page}
    assert service.requests(service.recommend("c5", "why").asked).history.lengths[0] > 0
    said = forget_from_outside(own_run, "c5")
    assert "14 of events" in said
    assert "From what was served: 4 of state" in said
    assert service.recent("before") is None
    asked = service.recommend("c5", "after").asked
    nobody = service.requests(asked)
    assert (nobody.history.lengths[0], nobody.users[0]) == (0, 0)
    assert service.receive([Event(**bought("c5", "p9"))]).erased == 1
    visit(service, ["c6"], times=6)
    service.close()
    tables = tables_in(own_run / "served")
    assert set(tables["events"]["user_id"]) == {"c6"}
    assert set(tables["requests"]["user_id"]) == {"c6"}
    assert set(tables["candidates"]["request_id"]) == set(tables["requests"]["request_id"])
    assert shown
    state = LayeredState(own_run / "served" / "state", service.pipeline.log, "other", map_gb=0.1)
    assert state.stale
    assert state.erased(["c5", "c6"]).tolist() == [True, False]
    state.close()


def test_who_was_erased_before_anything_was_served_stays_nobody(own_run, tmp_path):
    pipeline = open_run(own_run)
    assert pipeline.tables
    record_erasure(own_run / "store" / ERASED, "c5", datetime(2025, 1, 1, tzinfo=UTC))
    service = Service(pipeline, tmp_path / "served")
    assert service.requests(service.recommend("c5", "r").asked).history.lengths[0] == 0
    service.close()


def test_over_http_and_then_the_run_has_to_be_built_again(own_run):
    with serving(own_run) as (client, _):
        for user in ("c7", "c8"):
            client.post("/v1/recommend", json={"user_id": user, "request_id": f"of {user}"})
            assert client.post("/v1/events", json=bought(user, "p1", event_id=f"by {user}")).json()["stored"] == 1
        forget_from_outside(own_run, "c7")
        assert client.get("/v1/explain/of c7").status_code == 404
        assert client.get("/v1/explain/of c8").status_code == 200
        assert client.post("/v1/events", json=bought("c7", "p2")).json() == {"stored": 0, "repeated": 0, "erased": 1}
        assert len(items(client.post("/v1/recommend", json={"user_id": "c7"}).json())) == 4
    assert [user for events in served_events(own_run / "served") for user in events["user_id"]] == ["c8"]
    run, forked = str(own_run), Forked()
    try:
        told = forked.at_once([["serve", run, "--port", "0"], ["recommend", run, "c8"], ["explain", run, "c8"]], cwd=own_run)
    finally:
        forked.close()
    for refused in told:
        assert refused.code == 2
        assert " is not there" in refused.said
        assert "Run headrace build again" in refused.said
        assert len(refused.said.splitlines()) == 1
