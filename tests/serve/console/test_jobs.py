import json
import os
import socket
import sys
import time
from contextlib import ExitStack
from typing import Any

import pytest

from headrace.artifacts.at_work import FOLDER, at_work
from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from tests.serve.console.hostile import SCRIPT
from tests.serve.console.markup import check_harmless


def seen(client, address="/console/jobs"):
    answer = client.get(address)
    assert answer.status_code == 200
    assert "<script>document" not in answer.text
    return check_harmless(answer.text)


@pytest.fixture
def store(client):
    return Store(client.app.state.serving.folder / "store")


def test_nothing_goes_on(client):
    assert "Nothing is being made in this run or beside it" in seen(client).text


def test_a_build_is_shown_while_it_goes_on(client, store, monkeypatch):
    monkeypatch.setattr("headrace.artifacts.at_work._APART_S", 0.0)
    graph = Graph(store)
    pages: list[Any] = []

    def make(draft):
        graph.progress(f"epochs {SCRIPT}", 30, 120, f"loss 0.5 {SCRIPT}")
        pages.extend(seen(client, address) for address in ("/console/jobs", "/console/jobs?still=true", "/console/jobs/running"))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        graph.stage("rank", make, config={"of": "this test"}, name="dcnv2")
    for page in pages:
        for said in (
            f"process {os.getpid()}",
            "running",
            "In this run",
            "rank dcnv2",
            f"epochs {SCRIPT}",
            "30 of 120",
            f"loss 0.5 {SCRIPT}",
        ):
            assert said in page.text
        assert [(one["max"], one["value"], one["aria-label"]) for one in page.all("progress")] == [
            ("120", "30", f"epochs {SCRIPT}")
        ]
    polled = [[one["hx-get"] for one in page.all("div") if "hx-get" in one] for page in pages]
    assert polled == [["/console/jobs/running"], [], []]
    assert "Nothing is being made" in seen(client).text


def test_what_goes_on_beside_the_run_and_below_it(client, monkeypatch):
    """An annotation into the run's folder, a tuning and a reproduction in folders beside it."""
    run = client.app.state.serving.folder
    places = [
        run / "deep" / "topics.parquet.work",
        run.parent / "tuned" / "store",
        run.parent / "reproduce" / "lex" / "cpu" / "store",
    ]
    monkeypatch.setattr(sys, "argv", ["/bin/headrace", "tune", f"secret {SCRIPT}"])
    with ExitStack() as stack:
        for number, place in enumerate(places):
            told = at_work(place)
            stack.enter_context(told.stage(f"work {number} {SCRIPT}"))
            told("rows", number, 9, "0.5 rows/s")
        waited = time.monotonic() + 30
        while "2 of 9" not in (page := seen(client).text) and time.monotonic() < waited:
            time.sleep(0.05)
    for number, where in enumerate(["deep/topics.parquet.work", "tuned/store", "reproduce/lex/cpu/store"]):
        assert f"In {where}" in page
        assert f"work {number} {SCRIPT}" in page
    assert "headrace tune" in page
    assert "secret" not in page
    assert "Nothing is being made" in seen(client).text


def test_a_process_that_died_is_told_as_stopped(client, store):
    bar = {"stage": "rank", "done": 2, "of": 4, "note": "", "started": 1_700_000_000.0, "updated": 1_700_000_061.0}
    told = {"pid": os.getpid(), "host": socket.gethostname(), "began": "0", "bars": [bar]}
    path = store.root / FOLDER / "1.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told))
    try:
        page = seen(client).text
    finally:
        path.unlink()
    for said in ("stopped", "2 of 4", "1 min 1 s", "It ended before its work did"):
        assert said in page
