import asyncio

import httpx
import pytest

from headrace.serve.bench.load import NO_ANSWER, Sent, figures, load
from headrace.serve.bench.steps import held
from headrace.serve.bench.traffic import Traffic

USERS, ITEMS = [f"u{n}" for n in range(20)], [f"i{n}" for n in range(9)]


def traffic(seed=0, **shares):
    return Traffic(USERS, ITEMS, "view", shares or {"recommend": 80, "events": 15, "explain": 5}, seed)


def loaded(answer, of, per_s, seconds):
    async def run():
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://shop") as http:
            return await load(http, of, per_s, seconds)

    return asyncio.run(run())


def test_requests_leave_at_their_rate_and_not_when_answers_come():
    at_once = [0, 0]

    async def slow(request):
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0.3)
        at_once[0] -= 1
        return httpx.Response(200)

    sent = loaded(slow, traffic(recommend=1), 200, 0.5)
    assert 60 < len(sent) < 140, "a Poisson count of 100"
    assert at_once[1] > 10, "nobody waited for the one before: in a line it would be one"


def test_a_wait_of_the_client_counts_as_latency():
    def stalling(request):
        import time

        time.sleep(0.02)
        return httpx.Response(200)

    sent = loaded(stalling, traffic(recommend=1), 100, 0.3)
    assert max(one.took_s for one in sent) > 0.1
    assert figures(sent, 0.3)["client_late_p99_ms"] > 50


def test_what_is_turned_away_and_what_fails_is_told_apart():
    answers = iter([200, 503, 429, 500, 422] + [200] * 1000)

    def answer(request):
        status = next(answers)
        if status == 422:
            raise httpx.ReadError("gone")
        return httpx.Response(status)

    sent = loaded(answer, traffic(recommend=1), 100, 0.2)
    assert NO_ANSWER in {one.status for one in sent}
    (found,) = figures(sent, 0.2)["routes"].values()
    assert (found["turned_away"], found["failed"]) == (2, 2)


@pytest.mark.parametrize(
    ("status", "took_s", "holds"), [(200, 0.04, True), (200, 0.06, False), (503, 0.04, False), (500, 0.04, False)]
)
def test_a_step_holds_when_every_request_is_answered_in_time(status, took_s, holds):
    sent = [Sent("recommend", 200, 0.0, 0.04)] * 5 + [Sent("recommend", status, 0.0, took_s)] * 5
    assert held(figures(sent, 1.0), 50.0) == holds


def test_a_step_without_a_page_does_not_hold():
    assert not held(figures([Sent("events", 200, 0.0, 0.01)], 1.0), 50.0)
