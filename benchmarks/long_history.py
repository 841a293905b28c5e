"""What 1,000 candidates cost a user of 1,000 to 50,000 events: HiSAC from its state, and attention over all events.

    OMP_NUM_THREADS=1 python -m benchmarks.long_history [served]        # served: that alone

Untrained scorers of default sizes (16 numbers an event, 2 heads, 40 agents) on a catalogue of 20,000 items in 64 x 64 codes,
whose use falls off as 1 / rank; the cost hangs on sizes alone. "hisac" is `score` from a state that is there, in torch and
through ONNX Runtime on one core; "heads over all" the same attention and head with every event in the place of agents, mapped
once a user; "din" its MLP of every event and candidate. These two are timed on 100 candidates and told for 1,000. Beside them
what makes and keeps the state: the agents of all events, those of the sums that are kept, and one event more. "served" is a
request as the server scores it, from its history to 1,000 logits: through ONNX Runtime of all events anew, from sums that are as
they were, and from sums to which one event is added while the oldest goes.
CPU time of one thread, the median of alternating rounds after one that warms up, but DIN's, which is one; of ONNX Runtime
percentiles over calls, on the clock too, which counts whoever else uses the core. "of full" is HiSAC's time over that of the same
heads over all events. The curves stand beside the figures, as an SVG.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when torch loads

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.curves import curves
from benchmarks.record import record
from headrace.cascade.scoring import logits_of
from headrace.contracts.batch import Batch
from headrace.contracts.requests import Candidates, History, Requests
from headrace.contracts.rng import rng
from headrace.contracts.seams import State
from headrace.data.rank_inputs import AGES
from headrace.encode.semantic_ids.ids import told_apart
from headrace.methods.rank.din import DIN, DINConfig
from headrace.methods.rank.hisac import HiSAC, HiSACConfig
from headrace.nn.fields import FieldShapes
from headrace.nn.long_history import LongHistoryScorer
from headrace.nn.seeded import seeded
from headrace.objectives.long_choice import LongConfig
from headrace.serve.scorers.accelerate import SCORE, USER, ScorerSessions
from headrace.serve.scorers.export import export_score, export_user
from headrace.serve.scorers.kept_states import WHO, KeptStates
from headrace.serve.scorers.kept_up import KeptUp

ITEMS, SYMBOLS, DIM, CANDIDATES, TIMED_OF_FULL = 20_000, 64, 32, 1000, 100
LENGTHS, ROUNDS, CALLS = (1000, 10_000, 50_000), 3, 300


class HeadsOverAll(LongHistoryScorer):
    """Each candidate reads every event."""

    def _kept(self, batch: Batch) -> State:
        past = self._past(batch)
        return {"keys": self.attend.keys(past), "values": self.attend.values(past), "there": batch["history"] > 0}

    def _reading(self, state: State, target: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.attend.weighed(target, state["keys"], state["values"], state["there"])
        return found


def made(kind: Any, settings: Any, held: Any = None) -> Any:
    """With the weights of a draw."""
    scorer = kind(settings)
    with seeded(0, "init"):
        if held is not None:
            scorer._hold(held(scorer))
        scorer._begin(FieldShapes(ITEMS, {}, {}), 0)
    return scorer.eval()


def coded(scorer: HiSAC) -> Any:
    draw = rng(0, "codes")
    codes = draw.integers(0, SYMBOLS, (ITEMS, 2)).astype(np.int32)
    codes[0] = -1
    return scorer._placed(told_apart(codes, (SYMBOLS, SYMBOLS)), draw.normal(size=(ITEMS, DIM)).astype(np.float32))


def cpu_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def calls(sessions: ScorerSessions, user: Batch, candidates: Batch) -> dict[str, float]:
    own, taken, state = [], [], sessions.user(user)
    for _ in range(CALLS + 20):
        started, before = time.perf_counter(), time.thread_time()
        sessions.score(state, candidates)
        own.append(1000 * (time.thread_time() - before))
        taken.append(1000 * (time.perf_counter() - started))
    kinds = {"cpu": own[20:], "clock": taken[20:]}
    return {f"{kind}_p{at}_ms": round(float(np.percentile(all_ms, at)), 2) for kind, all_ms in kinds.items() for at in (50, 99)}


def served(length: int) -> dict[str, float]:
    """CPU ms of a request, medians: its history of so many events, of which one is new or none, its batches, state and logits."""
    draw, popular = rng(0, "served", length), 1 / np.arange(1, ITEMS)
    past = draw.choice(np.arange(1, ITEMS), length + CALLS, p=popular / popular.sum())
    hisac = made(HiSAC, HiSACConfig(history=length, ages=False), coded)
    with tempfile.TemporaryDirectory() as folder:
        export_user(hisac, Path(folder) / USER)
        export_score(hisac, Path(folder) / SCORE)
        sessions = ScorerSessions(hisac, Path(folder))
    kept = KeptUp("rank", hisac, sessions, KeptStates(64), lambda outcome: None)
    candidates = Candidates(draw.integers(1, ITEMS, (1, CANDIDATES)).astype(np.int32), {})

    def request(end: int) -> Requests:
        items = past[end - length : end].astype(np.int32)
        history = History(np.array([0, length]), items, np.arange(length))
        return Requests(np.array(["r"]), np.ones(1, np.int32), np.array([2**40]), history, {WHO: np.ones(1, np.int64)})

    works = {
        "all events anew": (sessions, [request(length)] * (CALLS // 10)),
        "sums as they were": (kept, [request(length)] * CALLS),
        "sums and one event": (kept, [request(length + number) for number in range(CALLS)]),
    }
    found = {}
    for name, (scorer, requests) in works.items():
        logits_of(scorer, requests[0], candidates)
        taken = [cpu_s(lambda one=one, scorer=scorer: logits_of(scorer, one, candidates)) for one in requests]  # type: ignore[misc]
        found[f"served, {name}, cpu_ms"] = round(1000 * statistics.median(taken), 2)
    return found


def figures(length: int) -> dict[str, Any]:
    draw = rng(0, "events", length)
    popular = 1 / np.arange(1, ITEMS)
    items = draw.choice(np.arange(1, ITEMS), length, p=popular / popular.sum())
    at_us = np.arange(length, dtype=np.int64)
    user = {"history": torch.from_numpy(items).unsqueeze(0), AGES: torch.zeros(1, length)}
    asked = torch.from_numpy(draw.integers(1, ITEMS, (1, CANDIDATES)))
    candidates = {"items": asked, "retrieval": torch.zeros(1, CANDIDATES, 0)}
    fewer = {name: values[:, :TIMED_OF_FULL] for name, values in candidates.items()}

    hisac = made(HiSAC, HiSACConfig(history=length, ages=False), coded)
    full = made(HeadsOverAll, LongConfig(history=length))
    din = made(DIN, DINConfig(history=length))
    states = {name: scorer.user(user) for name, scorer in (("hisac", hisac), ("full", full), ("din", din))}
    sums = hisac.state_of(items[:-1].astype(np.int32), at_us[:-1])
    works: dict[str, Callable[[], object]] = {
        "hisac": lambda: hisac.score(states["hisac"], candidates),
        "heads over all": lambda: full.score(states["full"], fewer),
        "din": lambda: din.score(states["din"], fewer),
        "agents of all events": lambda: hisac.user(user),
        "agents of sums": lambda: hisac.read_of(sums),
        "one event more": lambda: hisac.updated(sums, items[-1:].astype(np.int32), at_us[-1:]),
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS + 1):
        for name, work in works.items():
            if number == 1 or name != "din":  # seconds long, so once is enough
                taken[name].append(cpu_s(work))
    times = {name: 1000 * statistics.median(all_s[1:] or all_s) for name, all_s in taken.items()}
    times |= {name: times[name] * CANDIDATES / TIMED_OF_FULL for name in ("heads over all", "din")}
    found: dict[str, Any] = {f"{name}, cpu_ms": round(value, 2) for name, value in times.items()}
    with tempfile.TemporaryDirectory() as folder:
        export_user(hisac, Path(folder) / USER)
        export_score(hisac, Path(folder) / SCORE)
        sessions = ScorerSessions(hisac, Path(folder))
        found["hisac, onnx"] = calls(sessions, user, candidates)
        found |= served(length)
    found["of full"] = round(found["hisac, cpu_ms"] / found["heads over all, cpu_ms"], 4)
    found["bytes of the state"] = sum(one.nbytes for one in states["hisac"].values())
    found["bytes of sums"] = sums.nbytes
    found["bytes of all events"] = sum(states["full"][name].nbytes for name in ("keys", "values"))
    return found


def drawn(path: Path) -> None:
    """The file's figures as curves, beside it."""
    all_of = {length: json.loads(path.read_text())["figures"][f"{length} events"] for length in LENGTHS}
    lines = {
        name: {length: of[f"{name}, cpu_ms"] for length, of in all_of.items()} for name in ("din", "heads over all", "hisac")
    }
    lines["hisac, onnx"] = {length: of["hisac, onnx"]["cpu_p50_ms"] for length, of in all_of.items()}
    curves(path.with_suffix(".svg"), lines, across="events of the user", up="CPU ms for 1,000 candidates")


if __name__ == "__main__":
    torch.set_num_threads(1)
    lengths = {f"{length} events": length for length in LENGTHS}
    with torch.inference_mode():
        if sys.argv[1:] == ["served"]:
            record("long-history-served", {name: served(length) for name, length in lengths.items()})
            sys.exit()
        drawn(record("long-history", {name: figures(length) for name, length in lengths.items()}))
