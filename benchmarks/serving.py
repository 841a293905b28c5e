"""Latency of a served answer, on one core: in the process, stage by stage, and over HTTP on loopback under an open loop.

    python -m benchmarks.serving RUN        # RUN: a finished build, runs/demo if left out

The server has one core, the client another where there is one. In the process: the whole answer with reasons and logging,
histories from the online state. Over HTTP: requests leave at their own times, 50 a second, whether or not earlier ones are back;
a latency counts from when a request was due, so waiting in line shows. Each percentile is the median of five rounds'.

Others may use the machine meanwhile. So beside each latency stand the thread's own CPU time, what is left of the latency without
the time it waited for a core ("undisturbed"), and how late a process was that only slept on the server's core at the same time.
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
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.jitter import lateness, ran_and_waited_s, sleeping
from benchmarks.record import record
from headrace.cascade.answers import pages, walk
from headrace.cascade.run import open_run
from headrace.serve.asked import Asked
from headrace.serve.scorers.accelerate import accelerated
from headrace.serve.service import Service

ANSWERS, WARM = 2000, 100
A_SECOND, SECONDS, ROUNDS = 50, 40, 5
SLOW_S, SAMPLED_EVERY_S = 0.03, 0.02
CORES = sorted(os.sched_getaffinity(0))
Figures = dict[str, float]


def percentiles(taken_s: Sequence[float] | NDArray[np.float64]) -> Figures:
    rounds = np.array_split(taken_s, ROUNDS)
    p50, p95, p99 = 1000 * np.median([np.percentile(one, [50, 95, 99]) for one in rounds], axis=0)
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2), "p99_ms": round(float(p99), 2)}


def timed(work: Callable[[int], object]) -> Figures:
    """On the clock, which counts whoever else uses the core; without its waits for a core; in the thread's own CPU time."""
    taken, own, undisturbed, queue = [], [], [], Path("/proc/thread-self/schedstat")
    for number in range(ANSWERS + WARM):
        waited = int(queue.read_text().split()[1])
        started, before = time.perf_counter(), time.thread_time()
        work(number)
        own.append(time.thread_time() - before)
        taken.append(time.perf_counter() - started)
        undisturbed.append(taken[-1] - (int(queue.read_text().split()[1]) - waited) / 1e9)
    kinds = {"": taken, "undisturbed_": undisturbed, "cpu_": own}
    return {f"{kind}{name}": value for kind, all_s in kinds.items() for name, value in percentiles(all_s[WARM:]).items()}


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


def over_http(run: Path, users: list[str], scratch: Path) -> dict[str, Figures]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (scratch / "server.log").open("w") as out:
        command = [str(Path(sys.executable).parent / "headrace"), "serve", str(run), "--port", str(port)]
        server = subprocess.Popen(command, stdout=out, stderr=out)
    os.sched_setaffinity(0, CORES[1:] or CORES)
    try:
        with sleeping(CORES[0], scratch / "beside.npy"):
            sent_s, taken_s, samples, turned_away = asyncio.run(_open_loop(f"http://127.0.0.1:{port}", users, server.pid))
        late_s = lateness(scratch / "beside.npy", sent_s[0])[:, 1]
        ran_s, waited_s = np.diff(samples[[0, -1], 1:3], axis=0)[0] / len(taken_s)
        figures = percentiles(taken_s) | {
            "worst_ms": round(1000 * float(taken_s.max()), 1),
            "turned_away": turned_away,
            "server_cpu_ms_a_request": round(1000 * float(ran_s), 2),
            "server_waited_for_a_core_ms_a_request": round(1000 * float(waited_s), 2),
        }
        slow = taken_s > SLOW_S
        return {
            f"HTTP, {A_SECOND} a second, open loop": figures,
            f"HTTP answers over {1000 * SLOW_S:.0f} ms": _where_time_went(sent_s[slow], taken_s[slow], samples),
            "a sleeper on the server's core meanwhile": _jitter(late_s),
        }
    finally:
        server.terminate()
        server.wait(30)


def _where_time_went(sent_s: NDArray[np.float64], taken_s: NDArray[np.float64], samples: NDArray[np.float64]) -> Figures:
    """Of the time that these answers took: the share in which a thread of the server ran, one waited for a core, and the client
    waited for its own. Shares may overlap. What none of them tells was spent blocked: on a lock, on the disk."""
    if not len(taken_s):
        return {"answers": 0}
    names = ("server_ran_share", "server_waited_for_a_core_share", "client_waited_for_a_core_share")
    columns = dict(zip(names, samples[:, 1:].T, strict=True))
    during = {
        name: np.interp(sent_s + taken_s, samples[:, 0], column) - np.interp(sent_s, samples[:, 0], column)
        for name, column in columns.items()
    }
    return {"answers": len(taken_s)} | {name: round(float(spent.sum() / taken_s.sum()), 3) for name, spent in during.items()}


def _jitter(late_s: NDArray[np.float64]) -> Figures:
    return percentiles(late_s) | {"worst_ms": round(1000 * float(late_s.max()), 1)}


async def _open_loop(
    url: str, users: list[str], pid: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """When each request was due, how long it took; every so often the moment, and until then the server's time on a core and
    its and the client's time waiting for one; how many were turned away, because too many waited."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        while True:
            try:
                await client.get("/healthz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.2)
        taken: list[tuple[float, float]] = []
        turned_away = 0

        async def ask(number: int, due: float) -> None:
            nonlocal turned_away
            answer = await client.post("/v1/recommend", json={"user_id": users[number % len(users)]})
            if answer.status_code == 503:
                turned_away += 1
                return
            answer.raise_for_status()
            taken.append((due, time.perf_counter() - due))

        async def sample() -> None:
            while True:
                samples.append((time.perf_counter(), *ran_and_waited_s(pid), ran_and_waited_s()[1]))
                await asyncio.sleep(SAMPLED_EVERY_S)

        samples: list[tuple[float, float, float, float]] = []
        started, sent, sampling = time.perf_counter() + 0.1, [], None
        for number in range(A_SECOND * SECONDS + WARM):
            if number == WARM:
                sampling = asyncio.create_task(sample())
            due = started + number / A_SECOND
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            sent.append(asyncio.create_task(ask(number, due)))
        await asyncio.gather(*sent)
        if sampling is not None:
            sampling.cancel()
        due_s, taken_s = np.array(sorted(taken)[WARM:]).T
        return due_s, taken_s, np.array(samples), turned_away


def main() -> None:
    torch.set_num_threads(1)
    os.sched_setaffinity(0, CORES[:1])  # a server that is started keeps to it too
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    pipeline = open_run(run)
    plan = json.loads((pipeline.generation.path / "generation.json").read_text())
    logs = Path(tempfile.mkdtemp())
    try:
        with sleeping(CORES[0], logs / "alone.npy"):
            time.sleep(10)
        figures = {"a sleeper alone on the server's core": _jitter(lateness(logs / "alone.npy")[:, 1])}
        figures |= {**in_process(run, logs), **over_http(run, pipeline.log.users.ids.to_list(), logs)}
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
