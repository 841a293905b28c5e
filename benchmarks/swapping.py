"""A server whose generation is changed again and again under load: what fails, how slow the swaps are, what they leave in memory.

    python -m benchmarks.swapping RUN --swaps 20 --per-s 30        # RUN: a finished build, runs/demo if left out

A copy of the run becomes a ledger of two generations: its own, and one whose ranker has another layer and is trained anew. They
are promoted by turns and nothing of the one before is kept (guardrails look away), so each swap opens, checks and warms a whole
generation beside the one that answers, and closes that one. An answer is "during a swap" when it was due between the promotion
and half a second after the new one answered. It ends with 1 where a request failed; those turned away are counted apart.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record
from benchmarks.soak import weights
from headrace.flywheel.generations import Generations
from headrace.flywheel.opened import open_live, pipeline_of
from headrace.serve.bench.load import Sent, client, load
from headrace.serve.bench.started import Started, started
from headrace.serve.bench.traffic import Traffic

AFTER_S, REST_S = 0.5, 8.0
OTHER = {"hidden": [64, 48]}
SHARES = {"recommend": 80, "events": 15, "explain": 5}


def two_generations(run: Path, wheel: Path) -> None:
    """What is made anew is made in the copy."""
    shutil.copytree(run, wheel, copy_function=os.link, ignore=shutil.ignore_patterns("served", "keys.json", "plan.json"))
    kept, ledger = json.loads((run / "plan.json").read_text()), Generations(wheel)
    kept["toml"]["serve"] = {**kept["toml"].get("serve", {}), "guardrails": {"window_s": 0}}
    for name in ("its own", "another ranker"):
        pipeline = pipeline_of(kept, wheel / "store")
        ledger.add(pipeline.generation.key, plan=kept, verdict={"says": name})
        rank = kept["toml"].setdefault("rank", {})
        kept = {**kept, "toml": {**kept["toml"], "rank": {**rank, rank["use"]: {**rank.get(rank["use"], {}), **OTHER}}}}
    ledger.promote(1, "the first")


async def swapped(server: Started, traffic: Traffic, swaps: int, per_s: float, every_s: float) -> dict[str, Any]:
    ledger, spans = Generations(server.folder), list[tuple[float, float]]()
    found: dict[str, Any] = {}

    async def alternate(http: Any) -> None:
        for number in range(swaps):
            await asyncio.sleep(every_s)
            await asyncio.to_thread(ledger.promote, 2 - number % 2, f"swap {number}")
            began = time.perf_counter()
            done = (await http.post("/v1/generations/reload", timeout=120)).raise_for_status()
            assert done.json()["serving"] == 2 - number % 2, done.text
            spans.append((began, time.perf_counter() + AFTER_S))
        loading.cancel()

    def weigh(when: str) -> None:
        for name, value in zip(("anonymous_mb", "rss_mb", "files"), weights(server.pid), strict=True):
            found[f"{name}, at rest {when}"] = value

    sent: list[Sent] = []
    async with client(server.url, None) as http:
        await load(http, traffic, per_s, 10)
    await asyncio.sleep(REST_S)
    weigh("before")
    async with client(server.url, None) as http, client(server.url, None) as apart:
        loading = asyncio.create_task(_endless(http, traffic, per_s, sent))
        await alternate(apart)
        await asyncio.gather(loading, return_exceptions=True)
    await asyncio.sleep(REST_S)
    weigh(f"after {swaps} swaps")
    return found | {"swaps": swaps, **_figures(sent, spans)}


async def _endless(http: Any, traffic: Traffic, per_s: float, sent: list[Sent]) -> None:
    """A second at a time, so that it can be ended; what is under way then is waited for."""
    under_way = set[asyncio.Task[list[Sent]]]()
    try:
        while True:
            under_way.add(asyncio.create_task(load(http, traffic, per_s, 1.0)))
            await asyncio.sleep(1.0)
    finally:
        for one in await asyncio.gather(*under_way):
            sent.extend(one)


def _figures(sent: list[Sent], spans: list[tuple[float, float]]) -> dict[str, Any]:
    pages = [one for one in sent if one.route == "recommend" and one.well]
    during = np.array([any(low <= one.due_s <= high for low, high in spans) for one in pages], np.bool_)
    took_ms = 1000 * np.array([one.took_s for one in pages])
    found: dict[str, Any] = {
        "requests": len(sent),
        "failed": sum(not one.well and one.status not in (429, 503) for one in sent),
        "failed with": sorted({f"{one.route} {one.status}" for one in sent if not one.well and one.status not in (429, 503)}),
        "turned_away": sum(one.status in (429, 503) for one in sent),
        "client_late_p99_ms": round(1000 * float(np.percentile([one.late_s for one in sent], 99)), 1),
    }
    opened_s = sorted(high - AFTER_S - low for low, high in spans)
    found |= {"a swap took, s, median": round(opened_s[len(opened_s) // 2], 2), "worst": round(opened_s[-1], 2)}
    for name, rows in (("during swaps", during), ("between them", ~during)):
        p50, p99 = np.percentile(took_ms[rows], [50, 99]) if rows.any() else (np.nan, np.nan)
        found |= {
            f"pages {name}": int(rows.sum()),
            f"p50_ms {name}": round(float(p50), 1),
            f"p99_ms {name}": round(float(p99), 1),
        }
    return found


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("run", type=Path, nargs="?", default=Path("runs/demo"))
    asked.add_argument("--swaps", type=int, default=20)
    asked.add_argument("--per-s", type=float, default=30)
    asked.add_argument("--every-s", type=float, default=3, help="between two swaps")
    said = asked.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix=".swapping-", dir=said.run.resolve().parent))
    try:
        two_generations(said.run, scratch / "wheel")
        log = open_live(scratch / "wheel").log
        kind = next((name for name, one in log.kinds.items() if one.polarity == "positive"), None)
        traffic = Traffic(
            log.users.ids.to_list(), log.items.ids.to_list(), kind, {"recommend": 80, "events": 15, "explain": 5}, 0
        )
        with started(scratch / "wheel") as server:
            found = asyncio.run(swapped(server, traffic, said.swaps, said.per_s, said.every_s))
    finally:
        shutil.rmtree(scratch)
    record("swapping", {"per_s": said.per_s, **found})
    sys.exit(bool(found["failed"]))


if __name__ == "__main__":
    main()
