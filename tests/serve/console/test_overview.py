import math
import time

import pytest

from headrace.serve.console.overview import latency
from headrace.serve.console.readings import Readings, Stage
from headrace.serve.console.view import milliseconds, span
from tests.serve.console.markup import read


def seen(answers):
    return Readings(stages=[Stage("whole", answers, 1.0, 1.0, 2.0, math.nan)])


def test_a_percentile_nobody_knows_is_left_out():
    chart = latency(seen(3))
    assert chart is not None
    assert [row["ms"] for row in chart["data"]["values"]] == [1.0, 2.0, None]
    assert latency(Readings()) is None


def test_figures_are_those_of_the_metrics(client):
    before = read(client.get("/console/overview/figures").text).text
    assert client.post("/v1/recommend", json={"user_id": "u5"}).status_code == 200
    after = read(client.get("/console/overview/figures").text)
    assert before != after.text
    assert "/v1/recommend" in after.text
    assert "ready" in after.text
    assert "not ready" not in after.text
    assert client.app.state.serving.service.generation[:12] in after.text
    assert not after.all("html")


def test_what_is_wrong_is_said(client, monkeypatch):
    monkeypatch.setattr("headrace.serve.console.overview.against", lambda _: ["the disk has <3 MB left"])
    found = read(client.get("/console").text)
    assert "the disk has <3 MB left" in found.text
    assert "not ready" in found.text


def test_what_was_when_is_drawn_without_anybody_watching(client):
    """The server looks by itself: two looks after its start there is traffic to draw."""
    deadline = time.monotonic() + 60
    while "Pages answered a second" not in (page := client.get("/console/overview/figures").text):
        assert time.monotonic() < deadline
        time.sleep(1)
    found = read(page)
    assert "What answered, and whether it was ready" in found.text
    assert f"build {client.app.state.serving.service.generation[:8]}" in found.text


def test_it_can_hold_still(client):
    assert "hx-trigger" in client.get("/console").text
    assert "hx-trigger" not in client.get("/console?still=true").text


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")]
)
def test_spans(seconds, said):
    assert span(seconds) == said


@pytest.mark.parametrize(("value", "said"), [(math.nan, "-"), (0.1234, "0.123 ms"), (25.0, "25 ms"), (1500.0, "1.5 s")])
def test_milliseconds(value, said):
    assert milliseconds(value) == said
