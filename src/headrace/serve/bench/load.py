"""An open loop: requests leave when a Poisson process says, whether or not earlier ones are back, as users do.

A latency counts from when its request was due, so that a server which stalls is seen to keep all who came meanwhile waiting. How
late the client itself sent is kept beside it: where that is not small, the client was the bottleneck and the figures are its own.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.encode.optional import optional
from headrace.serve.bench.traffic import Call, Traffic

NO_ANSWER = 0
_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Sent:
    """status: of HTTP, NO_ANSWER where none came. late_s: behind its time when it left. took_s: since its time. due_s:
    that time, by `perf_counter`."""

    route: str
    status: int
    late_s: float
    took_s: float
    due_s: float = 0.0

    @property
    def well(self) -> bool:
        return 200 <= self.status < 300


def client(url: str, key: str | None) -> Any:
    """Asynchronous, with as many connections as it takes."""
    httpx: Any = optional("httpx", package="httpx", extra="client", purpose="A load test")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    # let go before the server does, after 5 s of nothing: else a request may leave on a connection that is being closed
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=3.0)
    return httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=_TIMEOUT_S, trust_env=False)


async def load(http: Any, traffic: Traffic, per_s: float, seconds: float) -> list[Sent]:
    """In the order in which they came back."""
    sent: list[Sent] = []
    gaps = traffic.draws.exponential(1 / per_s, size=max(int(per_s * seconds * 2), 16)).cumsum()
    started, tasks = time.perf_counter(), []
    for due_s in gaps[gaps < seconds].tolist():
        await asyncio.sleep(max(started + due_s - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(_ask(http, traffic, traffic.next(), started + due_s, sent)))
    await asyncio.gather(*tasks)
    return sent


async def _ask(http: Any, traffic: Traffic, call: Call, due: float, sent: list[Sent]) -> None:
    late_s, status = time.perf_counter() - due, NO_ANSWER
    try:
        answer = await http.request(call.method, call.path, json=call.body)
        status = answer.status_code
    except Exception as error:
        if not any(kind.__name__ == "TransportError" for kind in type(error).__mro__):
            raise
    sent.append(Sent(call.route, status, late_s, time.perf_counter() - due, due))
    if sent[-1].well:
        traffic.answered(call)


def figures(sent: list[Sent], seconds: float) -> dict[str, Any]:
    """By route: how many, how many of which failure, percentiles of those answered well."""
    found: dict[str, Any] = {
        "answered_per_s": round(sum(one.well for one in sent) / seconds, 1),
        "client_late_p99_ms": _percentiles([one.late_s for one in sent])["p99_ms"],
        "routes": {},
    }
    for route in dict.fromkeys(one.route for one in sent):
        mine = [one for one in sent if one.route == route]
        found["routes"][route] = {
            "requests": len(mine),
            "turned_away": sum(one.status in (429, 503) for one in mine),
            "failed": sum(not one.well and one.status not in (429, 503) for one in mine),
            **_percentiles([one.took_s for one in mine if one.well]),
        }
    return found


def _percentiles(taken_s: list[float]) -> dict[str, float | None]:
    names = ("p50_ms", "p95_ms", "p99_ms")
    if not taken_s:
        return dict.fromkeys(names)
    return dict(zip(names, np.round(1000 * np.percentile(taken_s, [50, 95, 99]), 1).tolist(), strict=True))
