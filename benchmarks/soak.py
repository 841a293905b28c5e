"""Whether a server grows: the same load for minutes, its memory and open files weighed every second.

    python -m benchmarks.soak RUN --seconds 300        # RUN: a finished build; 60 s as a check, 300 s by hand

Pages, events and explanations, users at random. A first quarter warms up: caches of recent requests and of users' states. Then
all connections are let go, the server is weighed at rest, loaded for the other three, and weighed at rest again. Anonymous memory
leaves out pages of mapped files, such as the state's, which RSS counts; both are given, and the most under load. It ends with 1
where at rest files grew by more than 5 or anonymous memory by more than 20 MB, or where a request failed; requests that an
overloaded machine made it turn away are counted apart.
"""

import argparse
import asyncio
import re
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import record
from headrace.flywheel.opened import open_live
from headrace.serve.bench.footprint import footprint
from headrace.serve.bench.load import client, figures, load
from headrace.serve.bench.started import started
from headrace.serve.bench.traffic import Traffic

MOST_FILES, MOST_MB, EVERY_S, REST_S = 5, 20.0, 1.0, 8.0  # idle connections are closed after 5 s


async def soak(url: str, pid: int, traffic: Traffic, per_s: float, seconds: float) -> dict[str, Any]:
    under: list[tuple[float, ...]] = []

    async def weigh() -> None:
        while True:
            under.append(weights(pid))
            await asyncio.sleep(EVERY_S)

    async def loaded(seconds: float) -> tuple[dict[str, Any], tuple[float, ...]]:
        async with client(url, None) as http:
            found = figures(await load(http, traffic, per_s, seconds), seconds)
        await asyncio.sleep(REST_S)
        return found, weights(pid)

    weighing = asyncio.create_task(weigh())
    _, first = await loaded(seconds / 4)
    found, last = await loaded(3 * seconds / 4)
    weighing.cancel()
    for place, name in enumerate(("anonymous_mb", "rss_mb", "files")):
        found |= {f"{name}, at rest after the first quarter": first[place], f"{name}, at rest at the end": last[place]}
        found |= {f"{name}, growth": round(last[place] - first[place], 1), f"{name}, most": max(one[place] for one in under)}
    return found


def weights(pid: int) -> tuple[float, ...]:
    weight = footprint(pid)
    return anonymous_mb(pid), weight.rss_mb, weight.files


def anonymous_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return round(int(re.findall(r"^Anonymous:\s+(\d+) kB$", text, re.MULTILINE)[0]) / 1024, 1)


def grew(found: dict[str, Any]) -> bool:
    failed = sum(one["failed"] for one in found["routes"].values())
    return bool(failed or found["files, growth"] > MOST_FILES or found["anonymous_mb, growth"] > MOST_MB)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("run", type=Path)
    asked.add_argument("--seconds", type=float, default=60)
    asked.add_argument("--per-s", type=float, default=30)
    said = asked.parse_args()
    log = open_live(said.run).log
    kind = next((name for name, one in log.kinds.items() if one.polarity == "positive"), None)
    traffic = Traffic(log.users.ids.to_list(), log.items.ids.to_list(), kind, {"recommend": 80, "events": 15, "explain": 5}, 0)
    began = time.monotonic()
    with started(said.run) as server:
        found = asyncio.run(soak(server.url, server.pid, traffic, said.per_s, said.seconds))
    record("soak", {"seconds": said.seconds, "per_s": said.per_s, "whole_s": round(time.monotonic() - began), **found})
    sys.exit(grew(found))


if __name__ == "__main__":
    main()
