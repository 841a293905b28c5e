"""A server of ours beside Cornac's Flask server: the same client, log, users, core and minute; pages of ten, seen items left out.

    headrace build benchmarks/serving_peers.toml --out RUN        # one retriever, EASE; one ranker; a page
    python -m benchmarks.serving_peers RUN

Both retrieve with EASE at lambda 500, fitted on the same events. Cornac's server scores the catalogue and sorts: that is its
answer. Ours goes on: a ranker, a page that is drawn with the chance of each item, reasons, the history as of this moment, and a
log of it all; an event it takes in changes the next page, which the peer's feedback (a line in a file) does not. So it is no race
of equals, and a ratio says what the rest costs. Requests one at a time, in blocks that take turns; then an open loop, faster each
step, until a page in a hundred takes longer than 50 ms. CPU is the server's own by the kernel's count, which others here move
least. A ratio is ours over the peer's: below 1 of times, above 1 of rates ours is better.
"""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.running import CORNAC, ONE_THREAD
from benchmarks.record import record
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.errors import ConfigError, listed
from headrace.flywheel.opened import open_live
from headrace.serve.bench.footprint import footprint
from headrace.serve.bench.load import client, figures, load
from headrace.serve.bench.stages import between, buckets
from headrace.serve.bench.started import Started, started
from headrace.serve.bench.steps import held
from headrace.serve.bench.traffic import Call, Traffic

BLOCKS, A_BLOCK, STEP_S, K, LIMIT_MS, LAMBDA = 6, 50, 6.0, 10, 50.0, 500
RATES = (10, 20, 40, 60, 80, 120, 160, 240, 320)
Asks = Callable[[str], Call]


def ours(user: str) -> Call:
    return Call("recommend", "POST", "/v1/recommend", {"user_id": user, "n": K})


class Alone(Traffic):
    """Pages alone, asked as a server wants to be asked. numbers: of the users."""

    def __init__(self, users: list[str], asks: Asks, seed: int):
        super().__init__(users, ["none"], None, {"recommend": 1.0}, seed)
        self.asks = asks

    def next(self) -> Call:
        return self.asks(self.users[self._one(self.users)])

    def answered(self, call: Call) -> None:
        pass


@contextmanager
def cornac(pipeline: Pipeline, beside: Started) -> Iterator[tuple[str, int, Asks]]:
    """(its URL, its process, how it is asked), on the cores of the server it stands beside."""
    with tempfile.TemporaryDirectory() as scratch, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        numbers = np.arange(1, len(pipeline.log.users), dtype=np.int32)
        history = pipeline.log.store.as_of(numbers, np.full(len(numbers), 2**62))
        np.savez(Path(scratch) / "log.npz", offsets=history.offsets, items=history.items)
        number = {user: str(place) for place, user in enumerate(pipeline.log.users.ids.to_list())}
        os.sched_setaffinity(0, beside.server_cores)
        with (Path(scratch) / "server.log").open("w") as out:
            process = subprocess.Popen(
                [
                    CORNAC.python(), "-I", Path(__file__).with_name("peers") / "cornac_server.py", "log.npz",
                    json.dumps({"port": port, "lambda": LAMBDA}),
                ],
                cwd=scratch, env={**os.environ, **ONE_THREAD}, stdout=out, stderr=out,
            )  # fmt: skip
        os.sched_setaffinity(0, beside.client_cores)
        try:
            path = "/recommend?k={}&remove_seen=true&uid={}"
            yield (
                f"http://127.0.0.1:{port}", process.pid, lambda user: Call("recommend", "GET", path.format(K, number[user]))
            )  # fmt: skip
        finally:
            process.terminate()
            process.wait(30)


def as_the_peer(pipeline: Pipeline) -> None:
    """ConfigError of a run that is no EASE of this lambda alone: it would be another race."""
    plan = pipeline.plan
    l2 = plan.of("retrieve", "ease").get("l2")
    if plan.retrieve.use != ("ease",) or l2 != LAMBDA or plan.prerank.use is not None:
        raise ConfigError(
            f"[retrieve] use is {listed(plan.retrieve.use)}, ease.l2 {l2}, [prerank] use {plan.prerank.use}; the peer is EASE at "
            f"lambda {LAMBDA} and nothing else. Build the run from benchmarks/serving_peers.toml."
        )


async def one_at_a_time(http: Any, traffic: Traffic) -> list[float]:
    taken = []
    for _ in range(A_BLOCK):
        call, began = traffic.next(), time.perf_counter()
        (await http.request(call.method, call.path, json=call.body)).raise_for_status()
        taken.append(1000 * (time.perf_counter() - began))
    return taken


async def until_up(http: Any, call: Call) -> None:
    ends = time.monotonic() + 120
    while True:
        try:
            (await http.request(call.method, call.path, json=call.body)).raise_for_status()
            return
        except Exception:
            if time.monotonic() > ends:
                raise
            await asyncio.sleep(0.2)


async def steps(http: Any, traffic: Traffic) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for per_s in RATES:
        step = {"per_s": per_s, **figures(await load(http, traffic, per_s, STEP_S), STEP_S)}
        found.append({**step, "held": held(step, LIMIT_MS)})
        if not found[-1]["held"]:
            break
    return found


async def beside(sides: dict[str, tuple[str, int, Asks]], users: list[str]) -> dict[str, Any]:
    taken: dict[str, list[float]] = {name: [] for name in sides}
    spent: dict[str, float] = dict.fromkeys(sides, 0.0)
    found: dict[str, Any] = {}
    clients = {name: client(url, None) for name, (url, _, _) in sides.items()}
    for name, (_, _, asks) in sides.items():
        await until_up(clients[name], asks(users[0]))
        await one_at_a_time(clients[name], Alone(users, asks, 99))
    for block in range(BLOCKS):
        for name, (_, pid, asks) in sides.items():
            before = footprint(pid).ran_s
            taken[name] += await one_at_a_time(clients[name], Alone(users, asks, block))
            spent[name] += footprint(pid).ran_s - before
    metrics = buckets((await clients[next(iter(sides))].get("/metrics")).text)
    for name, (_, pid, asks) in sides.items():
        p50, p95, p99 = np.round(np.percentile(taken[name], [50, 95, 99]), 2).tolist()
        weight, run = footprint(pid), await steps(clients[name], Alone(users, asks, 7))
        found |= {
            f"{name}, p50_ms": p50, f"{name}, p95_ms": p95, f"{name}, p99_ms": p99,
            f"{name}, cpu_ms a request": round(1000 * spent[name] / (BLOCKS * A_BLOCK), 2),
            f"{name}, rss_mb": weight.rss_mb, f"{name}, pss_mb": weight.pss_mb,
            f"{name}, held per_s at p99 <= {LIMIT_MS:g} ms": max((one["per_s"] for one in run if one["held"]), default=0),
            f"{name}, steps": [[one["per_s"], one["routes"]["recommend"]["p99_ms"]] for one in run],
        }  # fmt: skip
        await clients[name].aclose()
    mine, its = (statistics.median(taken[name]) for name in sides)
    first, second = sides
    found |= {f"{first}, {stage}, p50_ms": one["p50_ms"] for stage, one in between({}, metrics).items()}
    found[f"{first} / {second}, p50"] = round(mine / its, 2)
    found[f"{first} / {second}, cpu a request"] = round(spent[first] / spent[second], 2)
    return found


def main() -> None:
    run = Path(sys.argv[1])
    pipeline = open_live(run)
    as_the_peer(pipeline)
    users = pipeline.log.users.ids.to_list()
    with started(run) as server, cornac(pipeline, server) as peer:
        found = asyncio.run(beside({"headrace": (server.url, server.pid, ours), CORNAC.name: peer}, users))
        found |= {"server cores": list(server.server_cores), "client cores": list(server.client_cores)}
    record("serving_peers", {"requests one at a time": BLOCKS * A_BLOCK, "items": len(pipeline.log.items) - 1, **found})


if __name__ == "__main__":
    main()
