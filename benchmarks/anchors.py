"""Users a second whose anchors are written, cold, and what a log with 1% more users costs.

    python -m benchmarks.anchors [--users 20000 60000] [--items 12000] [--anchors 10] [--length 20]

Semantic ids of three levels of 256 symbols, histories of 5 to 40 events, the writer at its default size (2 layers, 64 wide), not
trained: how long it takes does not hang on its weights. One thread. CPU seconds of the whole job (`cascade.anchors_kept`),
digests and files included; again: nothing has changed; grown: 1% of users came since. Shares are of the cold run.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when they load

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import record
from headrace.cascade.anchors_kept import written
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import History
from headrace.contracts.rng import rng
from headrace.encode.semantic_ids.ids import SemanticIds, told_apart
from headrace.methods.prerank.anchors.causal import CausalConfig, CausalWriter
from headrace.nn.seeded import seeded

LEVELS, CODES = 3, 256


def histories(users: int, items: int) -> History:
    """The first user, whom nobody knows, has none. More users are more rows behind the same ones."""
    draw = rng(0, "benchmark", "histories")
    lengths = np.concatenate([[0], draw.integers(5, 41, users - 1)])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    chosen = (items * draw.random(offsets[-1]) ** 2).astype(np.int32).clip(1)  # the first items are chosen most
    return History(offsets, chosen, (places + 1) * 1_000_000)


def ids_of(items: int) -> SemanticIds:
    """Codes of which the first say most: about as many prefixes as items of a real catalogue have."""
    draw = rng(0, "benchmark", "codes")
    codes = draw.integers(0, CODES, (items, LEVELS)).astype(np.int32)
    codes[0] = -1
    return told_apart(codes, (CODES,) * LEVELS)


def writer_of(history: History, items: int, length: int) -> CausalWriter:
    counts = np.ones(len(history.items), np.float32)
    interactions = Interactions(history, items, int(history.at_us.max()) + 1, counts, np.arange(items) > 0)
    made = CausalWriter(CausalConfig(length=length))
    with seeded(0, "benchmark"):
        made.learn(interactions, {"semantic_ids": ids_of(items)})
    return made


def measured(users: int, of: argparse.Namespace) -> dict[str, Any]:
    grown = histories(users + users // 100 + 1, of.items)
    history = grown.take(np.arange(users + 1))
    writer = writer_of(history, of.items, of.length)
    seconds: dict[str, float] = {}
    new: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("cold", history), ("again", history), ("grown", grown)):
            began = time.process_time()
            found = written(writer, rows, of.anchors, Path(folder))
            seconds[name], new[name] = time.process_time() - began, found.new
    cold = seconds["cold"]
    return {
        **{f"{name}_cpu_s": round(value, 3) for name, value in seconds.items()},
        **{f"{name}_written": value for name, value in new.items()}, "cold_users_per_cpu_s": round(users / cold),
        "again_share_of_cold": round(seconds["again"] / cold, 4), "grown_by_1%_share_of_cold": round(seconds["grown"] / cold, 4),
    }  # fmt: skip


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--users", type=int, nargs="+", default=[20_000, 60_000])
    for name, value in (("items", 12_000), ("anchors", 10), ("length", 20)):
        asked.add_argument(f"--{name}", type=int, default=value)
    of = asked.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = vars(of) | {"levels": LEVELS, "codes": CODES}
    for users in of.users:
        figures |= {f"{users:,} users, {name}": value for name, value in measured(users, of).items()}
    record("anchors", figures)


if __name__ == "__main__":
    main()
