"""What SPAR costs: a user's side, made beforehand or once a request, and 1,000 candidates from what is stored of both sides.

    OMP_NUM_THREADS=1 python -m benchmarks.reading

Untrained scorers with the own reader of default size (2 layers of 64) on 2,000 items whose texts fill the 24 tokens that are
read. "sessions of 5" is the default; "one pass" reads the whole history at once; "paper's sizes" keeps 16 vectors of 200 numbers
a user and 4 an item. Of each: the user's side in torch and through ONNX Runtime; 1,000 candidates from the stored sides through
ONNX Runtime; and what they cost without the table, the reader on each (timed on 100, told for 1,000). Bytes are of float32.
CPU time of one thread, in torch the median of rounds after one that warms up; of ONNX Runtime percentiles over calls, on the
clock too, which counts whoever else uses the core.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when torch loads

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import record
from headrace.contracts.batch import Batch
from headrace.contracts.rng import rng
from headrace.encode.reading.reader import Reader
from headrace.methods.rank.spar import SPAR, SPARConfig
from headrace.nn.seeded import seeded
from headrace.serve.scorers.accelerate import SCORE, USER, ScorerSessions
from headrace.serve.scorers.export import export_score, export_user

ITEMS, WORDS, CANDIDATES, READ, ROUNDS, CALLS = 2000, 1500, 1000, 100, 7, 200
ARMS = {
    "20 items, sessions of 5": SPARConfig(),
    "20 items, one pass": SPARConfig(session=20),
    "60 items, sessions of 5": SPARConfig(history=60),
    "60 items, one pass": SPARConfig(history=60, session=60),
    "60 items, paper's sizes": SPARConfig(history=60, window=256, user_vectors=16, vectors=4, side_dim=200),
}


def some_texts() -> list[str]:
    draw = rng(0, "texts")
    words = ["".join(draw.choice(list("abcdefghijklmnop"), draw.integers(3, 9))) for _ in range(WORDS)]
    return ["", *(" ".join(words[one] for one in draw.zipf(1.3, 30) % WORDS) for _ in range(ITEMS - 1))]


def made(settings: SPARConfig) -> SPAR:
    """With the weights of a draw."""
    texts, scorer = some_texts(), SPAR(settings)
    with seeded(0, "init"):
        reader = Reader.fitted(settings.reader, texts)
        scorer._set(reader, reader.tokenise(texts, settings.reader.tokens).astype(np.int32), 0, {})
    return scorer.eval()


def cpu_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    taken = []
    for _ in range(rounds + 1):
        started = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - started))
    return round(statistics.median(taken[1:]), 2)


def calls(work: Callable[[], object]) -> dict[str, float]:
    own, taken = [], []
    for _ in range(CALLS + 20):
        started, before = time.perf_counter(), time.thread_time()
        work()
        own.append(1000 * (time.thread_time() - before))
        taken.append(1000 * (time.perf_counter() - started))
    kinds = {"cpu": own[20:], "clock": taken[20:]}
    return {f"{kind}_p{at}_ms": round(float(np.percentile(all_ms, at)), 3) for kind, all_ms in kinds.items() for at in (50, 99)}


def figures(settings: SPARConfig) -> dict[str, Any]:
    scorer, draw = made(settings), rng(0, "events")
    user: Batch = {"history": torch.from_numpy(draw.integers(1, ITEMS, (1, settings.history)))}
    asked = torch.from_numpy(draw.integers(1, ITEMS, (1, CANDIDATES)))
    candidates: Batch = {"items": asked, "retrieval": torch.zeros(1, CANDIDATES, 0)}
    table = cpu_ms(lambda: tabled(scorer), rounds=1)
    state, items = scorer.user(user), scorer.sides[asked]
    keys = scorer.relevance.keys(items)
    found: dict[str, Any] = {
        "user in torch, cpu_ms": cpu_ms(lambda: scorer.user(user)),
        "1,000 candidates in torch, cpu_ms": cpu_ms(lambda: scorer.score(state, candidates)),
        "the same, gelu(Lambda W) stored too, cpu_ms": cpu_ms(lambda: scorer.relevance.weighed(state["side"], items, keys)),
        "1,000 candidates read anew, cpu_ms": round(cpu_ms(lambda: scorer._side(asked[0, :READ])) * CANDIDATES / READ, 1),
        "table of 1,000 items, cpu_ms": round(table * 1000 / ITEMS, 1),
        "bytes a user": state["side"].nbytes,
        "bytes an item": scorer.sides[0].nbytes,
        "products a candidate": state["side"].shape[1] * settings.vectors,
        "tokens of the user": int((scorer.tokens[user["history"]] > 0).sum()),
    }
    with tempfile.TemporaryDirectory() as folder:
        export_user(scorer, Path(folder) / USER)
        export_score(scorer, Path(folder) / SCORE)
        sessions = ScorerSessions(scorer, Path(folder))
        kept = sessions.user(user)
        found["user, onnx"] = calls(lambda: sessions.user(user))
        found["1,000 candidates, onnx"] = calls(lambda: sessions.score(kept, candidates))
    return found


def tabled(scorer: SPAR) -> None:
    scorer._settled = False
    scorer._settle()


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.inference_mode():
        print(record("reading", {name: figures(settings) for name, settings in ARMS.items()}).read_text())
