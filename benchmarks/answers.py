"""One cascade answer at a time on the demo's generation, in-process, one thread: each stage, and the whole with reasons."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import record
from headrace.cascade.answers import answer
from headrace.cascade.run import open_run
from headrace.cascade.scoring import Scoring, score
from headrace.contracts.requests import Candidates, Requests

ANSWERS = 300
RUN = Path("runs/demo")


def latencies_ms(work: Callable[[int], object]) -> dict[str, float]:
    """After 20 to warm up."""
    taken = []
    for number in range(ANSWERS + 20):
        started = time.perf_counter()
        work(number)
        taken.append(1000 * (time.perf_counter() - started))
    p50, p95, p99 = np.percentile(taken[20:], [50, 95, 99])
    return {"p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "p99_ms": round(p99, 2)}


def _score(scoring: Scoring, asked: Sequence[Requests], candidates: Sequence[Candidates], n: int) -> Candidates:
    return score([scoring], asked[n], candidates[n])


def main() -> None:
    torch.set_num_threads(1)
    pipeline = open_run(RUN)
    cascade, log = pipeline.cascade(), pipeline.log
    users = np.arange(1, len(log.users), dtype=np.int32)
    asked = [pipeline.requests_of(users[[n % len(users)]], np.array([pipeline.cuts.last_us + 1])) for n in range(ANSWERS + 20)]
    found = [cascade.recall(requests) for requests in asked]
    scored = [[candidates] for candidates in found]
    for scoring in cascade.scorings:
        for requests, steps in zip(asked, scored, strict=True):
            steps.append(score([scoring], requests, steps[-1]))
    stages: dict[str, Callable[[int], object]] = {"retrieve": lambda n: cascade.recall(asked[n])}
    for number, scoring in enumerate(cascade.scorings):
        stages[scoring.stage] = partial(_score, scoring, asked, [steps[number] for steps in scored])
    stages["page"] = lambda n: cascade.page.act(asked[n], scored[n][-1], seed=0)
    stages["answer, with reasons"] = lambda n: answer(cascade, log, asked[n], seed=0)
    figures = {f"{stage}, {name}": value for stage, work in stages.items() for name, value in latencies_ms(work).items()}
    record("answers", {"candidates, mean": round(float(np.mean([c.there.sum() for c in found])), 1), **figures})


if __name__ == "__main__":
    main()
