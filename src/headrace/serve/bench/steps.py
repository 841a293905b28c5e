"""How much a server bears: the rate is stepped up until an answer in a hundred takes longer than wanted, or one is not given.

What is reported is the highest rate that held, and what each step found; between it and the next the truth lies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.serve.bench.footprint import Footprint, footprint
from headrace.serve.bench.freshness import event_to_answer
from headrace.serve.bench.load import client, figures, load
from headrace.serve.bench.stages import between, buckets
from headrace.serve.bench.traffic import Traffic

_WARM_S = 3.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """rates: requests a second, one step each, rising. limit_ms: of pages, at p99. fresh: events that are followed."""

    rates: Sequence[float]
    seconds: float
    limit_ms: float = 50.0
    fresh: int = 20


async def measure(url: str, key: str | None, traffic: Traffic, wanted: Wanted, pid: int | None, say: Say) -> dict[str, Any]:
    """pid: of the server, where it runs here: it is weighed before and after, and its time on the cores is counted."""
    async with client(url, key) as http:
        say(f"warming up, {wanted.rates[0]:g} a second")
        await load(http, traffic, wanted.rates[0], _WARM_S)
        found: dict[str, Any] = {"steps": [], "limit_ms": wanted.limit_ms}
        if pid is not None:
            found["weight_before"] = footprint(pid).as_dict()
        if "events" in traffic.routes and wanted.fresh:
            found["event_to_answer"] = _fresh(await event_to_answer(http, traffic, wanted.fresh))
        for per_s in wanted.rates:
            say(f"{per_s:g} a second")
            before = buckets((await http.get("/metrics")).text)
            weighed = None if pid is None else footprint(pid)
            sent = await load(http, traffic, per_s, wanted.seconds)
            step = {"per_s": per_s, **figures(sent, wanted.seconds), **_spent(weighed, pid, len(sent))}
            step["stages"] = between(before, buckets((await http.get("/metrics")).text))
            step["held"] = held(step, wanted.limit_ms)
            found["steps"].append(step)
            if not step["held"]:
                break
        if pid is not None:
            found["weight_after"] = footprint(pid).as_dict()
    found["held_per_s"] = max((step["per_s"] for step in found["steps"] if step["held"]), default=0)
    found["stepped_to_the_end"] = found["steps"][-1]["held"]
    return found


def held(step: dict[str, Any], limit_ms: float) -> bool:
    routes = step["routes"].values()
    p99_ms = step["routes"].get("recommend", {}).get("p99_ms")
    return all(not one["failed"] and not one["turned_away"] for one in routes) and p99_ms is not None and p99_ms <= limit_ms


def _spent(before: Footprint | None, pid: int | None, requests: int) -> dict[str, float]:
    if before is None or pid is None or not requests:
        return {}
    after = footprint(pid)
    return {
        "cpu_ms_a_request": round(1000 * (after.ran_s - before.ran_s) / requests, 2),
        "waited_ms_a_request": round(1000 * (after.waited_s - before.waited_s) / requests, 2),
    }


def _fresh(taken_s: list[float | None]) -> dict[str, Any]:
    known = sorted(one for one in taken_s if one is not None)
    return {
        "events": len(taken_s), "never": len(taken_s) - len(known),
        "p50_ms": round(1000 * known[len(known) // 2], 1) if known else None,
        "worst_ms": round(1000 * known[-1], 1) if known else None,
    }  # fmt: skip
