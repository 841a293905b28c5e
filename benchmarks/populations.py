"""Is a ranker's calibration on what pages were drawn from the true one? Worlds know what would have come of every candidate.

    python -m benchmarks.populations [--days 6] [--seeds 3]

A DCN-V2, pointwise, learns clicks from the impressions of a small world's first days. Its calibration ratio on the test days,
three times: on impressions, on first slots weighed by 1 / propensity (`cascade.first_slots`), and over every candidate that could
have been drawn first, by its true chance of a click there (slot 1 is always looked at). The last is what the second is to find.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when they load

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.record import record
from headrace.cascade.impressions import measure_impressions
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.run import planned
from headrace.cascade.scoring import propose
from headrace.cascade.shown import Impressions
from headrace.cascade.validation import logits_for, probabilities
from headrace.contracts.requests import Candidates, Float32, Float64, Requests
from headrace.flywheel.simulated import logger_of
from headrace.world.emit import make_log
from headrace.world.live import World
from headrace.world.settings import SIZES


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--days", type=int, default=6)
    asked.add_argument("--seeds", type=int, default=3)
    of = asked.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = vars(of) | {"world": "small", "ranker": "dcnv2, pointwise"}
    for seed in range(of.seeds):
        with tempfile.TemporaryDirectory() as folder:
            figures |= {f"seed {seed}, {name}": value for name, value in measured(Path(folder), of.days, seed).items()}
    record("populations", figures)


def measured(folder: Path, days: int, seed: int) -> dict[str, Any]:
    config = replace(SIZES["small"], days=days)
    make_log(World(config, seed), logger_of(config), folder / "log")
    plan = folder / "log" / "shop.toml"
    plan.write_text(plan.read_text() + '\n[rank.dcnv2]\nloss = "pointwise"\n')
    pipeline = planned(plan, folder / "run")
    rows, facts, _ = measure_impressions(pipeline)
    ratios = [row for row in rows if (row.method, row.metric) == ("dcnv2", "calibration_ratio")]
    impressions, drawn = (f"{row.value:.3f} [{row.lo:.3f}, {row.hi:.3f}]" for row in ratios)
    predicted, truth = of_every_candidate(pipeline, folder / "log")
    return {
        "impressions": impressions, "drawn from": drawn, "truth": round(float(predicted.sum() / truth.sum()), 3),
        "candidates": len(truth), "weights": facts["impressions to rank"]["what it was drawn from"],
    }  # fmt: skip


def of_every_candidate(pipeline: Pipeline, log: Path) -> tuple[Float64, Float64]:
    """What the ranker says of a click, and its true chance, for each candidate that could have been drawn first."""
    parts = [pl.read_parquet(log / name, columns=["request_id", "item_id", *more]) for name, more in (
        ("candidates", ["stage"]), ("truth", ["click"]))]  # fmt: skip
    asked = pl.read_parquet(pipeline.tables.path / "requests.parquet")
    asked = asked.filter(pl.col("at").dt.timestamp("us") >= pipeline.cuts.asked_us)
    rows = parts[0].join(parts[1], on=["request_id", "item_id"]).join(asked, on="request_id")
    drawable = (pl.col("stage") != "recalled") | (pl.col("policy_id") == "uniform")  # which draws from all that was recalled
    rows = rows.filter(drawable).sort("at", "request_id", "item_id").with_columns(request=pl.col("request_id").rle_id())
    row, place = rows["request"].to_numpy(), rows.select(pl.int_range(pl.len()).over("request"))["literal"].to_numpy()
    shape = (int(row.max()) + 1, int(place.max()) + 1)
    items, chance = np.zeros(shape, np.int32), np.full(shape, np.nan, np.float32)
    items[row, place], chance[row, place] = pipeline.log.items.encode(rows["item_id"]), rows["click"].to_numpy()
    first = rows.filter(pl.col("request").is_first_distinct())
    users, at_us = pipeline.log.users.encode(first["user_id"]), first["at"].dt.timestamp("us").to_numpy()
    every = Impressions(users, at_us, items, np.zeros(shape, np.float32), {}, np.full(shape, np.nan, np.float32))
    requests = pipeline.requests_of(users, at_us)
    retrievers = {name: pipeline.load_retriever(name, final=True) for name in pipeline.plan.retrieve.use}

    def proposing(part: Requests, there: Candidates) -> Candidates:
        return propose(retrievers, part, pipeline.plan.retrieve.k, pipeline.allowed(part, pipeline.cuts.test_us), there)

    lists = every.lists(requests, proposing, [], pipeline.feature_object, lambda done, of: None)
    logits: Float32 = logits_for(pipeline.scoring("rank").scorer, lists)
    truth = every.among(lists.candidates.items, chance)
    known = ~np.isnan(truth)
    return probabilities(logits[known]), truth[known].astype(np.float64)


if __name__ == "__main__":
    main()
