import asyncio
import json
import math

import pytest

from headrace.serve.console import over_time
from headrace.serve.console.over_time import OverTime
from headrace.serve.console.readings import Readings, Route, Stage

BOUNDS = (0.01, 0.1, math.inf)


def readings(answers, up_to=(), refused=0, failed=0):
    stage = Stage("whole", answers, 1.0, 1.0, 2.0, math.nan, BOUNDS if up_to else (), up_to)
    return Readings(stages=[stage], routes=[Route("/v1/recommend", answers, refused, failed)])


def looked(*looks, generation="generation 1", ready=True):
    found = OverTime()
    for at_s, values in looks:
        found.look(readings(**values), at_s, generation=generation, ready=ready)
    return found


def test_rates_are_between_looks():
    line = looked(
        (0.0, {"answers": 0}), (1.0, {"answers": 5}), (5.0, {"answers": 50, "refused": 5, "failed": 10}), (15.0, {"answers": 50})
    )
    assert [(one.answers, one.refused, one.failed) for one in line.between] == [(10.0, 1.0, 2.0), (0.0, 0.0, 0.0)]
    assert line.now == 0.0  # the second look came too soon; counters that fell back are no rate


def test_one_look_is_no_rate():
    line = looked((0.0, {"answers": 3}))
    assert line.now is None
    assert over_time.traffic(line.between) is over_time.latency(line.between) is over_time.served(line.between) is None


def test_percentiles_are_of_the_answers_between_two_looks():
    line = looked(
        (0.0, {"answers": 100, "up_to": (0, 100, 100)}),
        (5.0, {"answers": 200, "up_to": (100, 200, 200)}),
        (10.0, {"answers": 200, "up_to": (100, 200, 200)}),
        (15.0, {"answers": 210, "up_to": (100, 200, 210)}),
    )
    first, second, third = line.between
    assert first.p50_ms == pytest.approx(5.0)  # all of them under 10 ms, though a half of all so far was not
    assert math.isnan(second.p50_ms)
    assert math.isnan(third.p50_ms)  # beyond the last bound
    spec = over_time.latency(line.between)
    assert spec is not None
    assert [row["ms"] for row in spec["data"]["values"] if row["percentile"] == "p50"] == [5.0, None, None]
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["line", "point"]  # no line leads to the first
    assert json.dumps(spec, allow_nan=False)


def test_the_first_answers_of_all_are_counted():
    (one,) = looked((0.0, {"answers": 0}), (5.0, {"answers": 10, "up_to": (10, 10, 10)})).between
    assert one.p50_ms == pytest.approx(5.0)


def test_who_answered_when():
    line = OverTime()
    for at_s, generation, ready in (
        (0, "1", True),
        (5, "1", True),
        (10, "1", True),
        (15, "2", True),
        (20, "2", False),
        (25, "1", True),
    ):
        line.look(readings(0), float(at_s), generation=generation, ready=ready)
    spec = over_time.served(line.between)
    assert spec is not None
    rows = [(row["generation"], row["health"], row["from"][-3:-1], row["to"][-3:-1]) for row in spec["data"]["values"]]
    assert rows == [
        ("1", "ready", "00", "10"), ("2", "ready", "10", "15"), ("2", "not ready", "15", "20"), ("1", "ready", "20", "25"),
    ]  # fmt: skip


def test_half_an_hour_is_remembered():
    line = looked(*((5.0 * n, {"answers": n}) for n in range(1000)))
    assert len(line.between) == 359


def test_it_goes_on_after_a_look_that_failed(monkeypatch, caplog):
    monkeypatch.setattr(over_time, "EVERY_S", 0.01)
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 1:
            raise OSError("the state is away")

    async def watched():
        async with OverTime().kept_up(look):
            while len(looks) < 3:
                await asyncio.sleep(0.01)
        count = len(looks)
        await asyncio.sleep(0.05)
        assert len(looks) <= count + 1

    asyncio.run(asyncio.wait_for(watched(), 30))
    assert "could not look" in caplog.text
