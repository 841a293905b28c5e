"""Five ranking metrics of 100,000 users' top 100, beside RecTools' and ir-measures'. CPU seconds, one thread.

    python -m benchmarks.evaluation [--rounds 5] [--users 100000]

Recall, NDCG, MRR, MAP and HitRate at 100, the same lists and right items for all. RecTools (pandas) measures all users;
ir-measures (trec_eval's code) takes dictionaries of strings, gigabytes of them at full size, so it is asked about a tenth of the
users, and its ratio is of that tenth on both sides. Each side gets the lists in its own form, its conversion apart; ours
holds the checks that no list has an item twice. Rounds alternate; a ratio is the peer's CPU seconds over ours, the median over
rounds: above 1, ours is faster. "furthest apart" is the largest difference of a metric's mean between the two. RecTools 0.19
divides MAP by the right items as we do; its NDCG is asked for with divide_by_achievable. Intervals are ours alone, and stand
apart: 2,000 resamples of users, all five metrics at once; so does a table of two methods with slices and a paired test.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when numpy loads

import statistics
import time
from typing import Any

import numpy as np

from benchmarks.peers.running import IR_MEASURES, RECTOOLS_METRICS, Peer
from benchmarks.record import record
from headrace.contracts.requests import Float64, History, Int32
from headrace.contracts.rng import rng
from headrace.evaluate.bootstrap import mean_intervals
from headrace.evaluate.compare import compare
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure

K, ITEMS, MOST_RIGHT, SPREAD = 100, 50_000, 9, 251
NAMES = ("recall", "ndcg", "mrr", "map", "hit_rate")
METRICS = [f"{name}@{K}" for name in NAMES]


def made_up(users: int, seed: int = 0) -> tuple[Int32, Relevant]:
    """Lists of different items, and one to nine right ones a user among the first 251 places of the same walk, so 40% are hit."""
    draw = rng(seed, "lists")
    start = draw.integers(0, ITEMS, users)[:, None]
    stride = draw.integers(1, ITEMS, users)[:, None]
    stride = np.where(np.gcd(stride, ITEMS) == 1, stride, 1)  # coprime, so a walk never comes back within the catalogue

    def at(place: Any) -> Int32:
        found: Int32 = ((start + stride * place) % ITEMS + 1).astype(np.int32)
        return found

    leap = draw.integers(1, SPREAD, users)[:, None]  # below a prime, so the places differ
    place = (draw.integers(0, SPREAD, users)[:, None] + leap * np.arange(MOST_RIGHT)) % SPREAD
    kept = np.arange(MOST_RIGHT) < draw.integers(1, MOST_RIGHT + 1, users)[:, None]
    return at(np.arange(K)), Relevant.from_pairs(np.nonzero(kept)[0], at(place)[kept], users)


def ours(items: Int32, relevant: Relevant) -> tuple[float, dict[str, Float64]]:
    started = time.process_time()
    values = measure(RankedLists(np.arange(len(items)), items), relevant, METRICS)
    return time.process_time() - started, values


def compared(peer: Peer, runner: str, items: Int32, relevant: Relevant, rounds: int) -> dict[str, Any]:
    history = History(relevant.offsets, relevant.items, np.zeros(len(relevant.items), np.int64))
    ours(items, relevant)  # the peer warms up in its own process
    mine: list[float] = []
    theirs: list[dict[str, Any]] = []
    values: dict[str, Float64] = {}
    for _ in range(rounds):
        taken, values = ours(items, relevant)
        mine.append(taken)
        theirs.append(peer.run(runner, history, ITEMS + 1, lists=items, k=K)[0])
    apart = max(abs(float(values[f"{name}@{K}"].mean()) - theirs[-1]["values"][name]) for name in NAMES)
    ratios = [their["measure_s"] / my for my, their in zip(mine, theirs, strict=True)]
    name = peer.name
    return {
        f"{name}, users": len(items),
        f"{name}, ours, cpu_s": round(statistics.median(mine), 3),
        f"{name}, cpu_s": round(statistics.median(one["measure_s"] for one in theirs), 3),
        f"{name} / ours": round(statistics.median(ratios), 1),
        f"{name}, import, cpu_s": round(statistics.median(one["import_s"] for one in theirs), 2),
        f"{name}, conversion, cpu_s": round(statistics.median(one["conversion_s"] for one in theirs), 2),
        f"{name}, furthest apart": float(f"{apart:.1e}"),
    }


def with_intervals(items: Int32, relevant: Relevant) -> dict[str, float]:
    """Ours alone: what an interval, and a table with slices and paired tests, cost on top."""
    lists, values = RankedLists(np.arange(len(items)), items), ours(items, relevant)[1]
    started = time.process_time()
    mean_intervals(lists.users, np.stack(list(values.values()), axis=1), resamples=2000)
    interval_s = time.process_time() - started
    other = RankedLists(lists.users, items[:, ::-1].copy())
    halves = {"all": lists.users >= 0, "even": lists.users % 2 == 0, "odd": lists.users % 2 == 1}
    started = time.process_time()
    compare(
        {"one": lists, "other": other}, relevant, stage="bench", split="none", baseline="one", metrics=METRICS, slices=halves
    )  # fmt: skip
    return {"interval_s": interval_s, "table_s": time.process_time() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=100_000)
    given = parser.parse_args()
    items, relevant = made_up(given.users)
    few, few_relevant = made_up(given.users // 10)
    alone = [with_intervals(items, relevant) for _ in range(given.rounds)]
    record(
        "evaluation",
        {
            "rounds": given.rounds, "users x top": f"{given.users:,} x {K}", "metrics": ", ".join(METRICS),
            **compared(RECTOOLS_METRICS, "rectools_metrics", items, relevant, given.rounds),
            **compared(IR_MEASURES, "ir_measures_metrics", few, few_relevant, given.rounds),
            "intervals, 2,000 resamples, cpu_s": round(statistics.median(one["interval_s"] for one in alone), 2),
            "table of 2 methods and 3 slices, cpu_s": round(statistics.median(one["table_s"] for one in alone), 2),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
