"""Latency of a served answer, on one core: in the process, stage by stage, and over HTTP on loopback under an open loop.

    python -m benchmarks.serving RUN        # RUN: a finished build, runs/demo if left out

The server has one core, the client another where there is one. In the process: the whole answer with reasons and logging,
histories from the online state. Over HTTP: requests leave at their own times, 50 a second, whether or not earlier ones are back;
a latency counts from when a request was due, so waiting in line shows. Each percentile is the median of five rounds'.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import torch

from benchmarks.record import record
from headrace.cascade.answers import pages, walk
from headrace.cascade.run import open_run
from headrace.serve.accelerate import accelerated
from headrace.serve.asked import Asked
from headrace.serve.service import Service

ANSWERS, WARM = 2000, 100
A_SECOND, SECONDS, ROUNDS = 50, 40, 5
CORES = sorted(os.sched_getaffinity(0))
Figures = dict[str, float]


def percentiles(taken_s: list[float]) -> Figures:
    rounds = np.array_split(taken_s, ROUNDS)
    p50, p95, p99 = 1000 * np.median([np.percentile(one, [50, 95, 99]) for one in rounds], axis=0)
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2), "p99_ms": round(float(p99), 2)}


def timed(work: Callable[[int], object]) -> Figures:
    """On the clock, which counts whoever else uses the core, and in the thread's own CPU time."""
    taken, own = [], []
    for number in range(ANSWERS + WARM):
        started, before = time.perf_counter(), time.thread_time()
        work(number)
        own.append(time.thread_time() - before)
        taken.append(time.perf_counter() - started)
    return percentiles(taken[WARM:]) | {f"cpu_{name}": value for name, value in percentiles(own[WARM:]).items()}


def in_process(run: Path, logs: Path) -> dict[str, Figures]:
    service = Service(open_run(run), logs)
    users = service.pipeline.log.users.ids.to_list()
    asked = [Asked(f"b{n}", users[n % len(users)], service.now_us(), 0, service.cascade.slots) for n in range(ANSWERS + WARM)]
    requests = [service.requests(one) for one in asked[:500]]
    found: dict[str, Figures] = {"history and features": timed(lambda n: service.requests(asked[n]))}
    for runtime in ("torch", "onnx"):
        cascade = accelerated(service.pipeline, runtime)
        walks = [walk(cascade, one, seed=0) for one in requests]
        found[f"{runtime}, every stage"] = timed(lambda n, c=cascade: walk(c, requests[n % 500], seed=0))  # type: ignore[misc]
        stages: dict[str, list[float]] = {}
        for one in requests:
            walk(cascade, one, seed=0, timed=lambda name, taken=stages: _Clock(taken.setdefault(name, [])))  # type: ignore[misc]
        found |= {f"{runtime}, {stage}": percentiles(taken) for stage, taken in stages.items()}
    found["reasons"] = timed(lambda n: pages(service.cascade, service.names, walks[n % 500]))
    found["whole answer, in the process"] = timed(lambda n: service.recommend(users[n % len(users)], f"r{n}"))
    service.close()
    return found


class _Clock:
    def __init__(self, taken: list[float]):
        self.taken = taken

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.taken.append(time.perf_counter() - self.started)


def over_http(run: Path, users: list[str]) -> dict[str, Figures]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([Path(sys.executable).parent / "headrace", "serve", str(run), "--port", str(port)])
    os.sched_setaffinity(0, CORES[1:] or CORES)
    try:
        taken, cpu_s = asyncio.run(_open_loop(f"http://127.0.0.1:{port}", users, server.pid))
        figures = percentiles(taken) | {"server_cpu_ms_a_request": round(1000 * cpu_s / len(taken), 2)}
        return {f"HTTP, {A_SECOND} a second, open loop": figures}
    finally:
        server.terminate()
        server.wait(30)


def _cpu_s(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def _open_loop(url: str, users: list[str], pid: int) -> tuple[list[float], float]:
    """Latencies, and the server's CPU time over them."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        while True:
            try:
                await client.get("/healthz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.2)
        taken: list[float] = []

        async def ask(number: int, due: float) -> None:
            (await client.post("/v1/recommend", json={"user_id": users[number % len(users)]})).raise_for_status()
            taken.append(time.perf_counter() - due)

        started, sent, before = time.perf_counter() + 0.1, [], 0.0
        for number in range(A_SECOND * SECONDS + WARM):
            before = _cpu_s(pid) if number == WARM else before
            due = started + number / A_SECOND
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            sent.append(asyncio.create_task(ask(number, due)))
        await asyncio.gather(*sent)
        return taken[WARM:], _cpu_s(pid) - before


def main() -> None:
    torch.set_num_threads(1)
    os.sched_setaffinity(0, CORES[:1])  # a server that is started keeps to it too
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    pipeline = open_run(run)
    plan = json.loads((pipeline.generation.path / "generation.json").read_text())
    logs = Path(tempfile.mkdtemp())
    try:
        figures = {**in_process(run, logs), **over_http(run, pipeline.log.users.ids.to_list())}
    finally:
        shutil.rmtree(logs)
    sizes = {
        "recalled at most": plan["retrieve"]["k"] * len(plan["retrieve"]["use"]),
        "pre-ranked to": plan["prerank"]["keep"] if plan["prerank"]["use"] else 0,
        "ranked to": plan["rank"]["keep"], "items": len(pipeline.log.items) - 1,
    }  # fmt: skip
    record("serving", sizes | {f"{name}, {key}": value for name, found in figures.items() for key, value in found.items()})


if __name__ == "__main__":
    main()
