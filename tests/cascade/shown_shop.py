"""The small shop with a log of what it showed: before each step a request, and a page that may hold the item viewed next."""

from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.rng import rng
from tests.cascade.shop import RING, write_shop

LEARN = '\nlearn_from = "impressions"\ntask = "look"\n[rank.dcnv2]\nloss = "pointwise"\n'
TASK = '[tasks.look]\nevent = "view"\nwindow_h = 2\n'
SHOWN = 5


def write_shown_shop(folder: Path, learn: str = LEARN, task: str = TASK) -> Path:
    """requests.parquet and candidates.parquet beside the shop's files; returns the TOML."""
    toml = write_shop(folder, users=80)
    draw = rng(0, "shown")
    events = pl.read_csv(folder / "events.csv").sort("when", "customer")
    n = len(events)
    items = draw.permuted(np.tile(np.arange(RING), (n, 1)), axis=1)[:, :SHOWN]
    there = draw.random(n) < 0.8
    viewed = events["product"].str.strip_prefix("p").cast(pl.Int64).to_numpy()
    items[there & ~(items == viewed[:, None]).any(1), 0] = viewed[there & ~(items == viewed[:, None]).any(1)]
    requests = events.select(
        request_id=pl.format("r{}", pl.int_range(pl.len())), user_id="customer", at=pl.col("when") - draw.integers(1, 7200, n),
        surface=pl.lit("home"), policy_id=pl.lit("uniform"), seed=pl.lit(0),
    )  # fmt: skip
    requests.write_parquet(folder / "requests.parquet")
    pl.DataFrame({
        "request_id": np.repeat(requests["request_id"].to_numpy(), SHOWN), "item_id": [f"p{item}" for item in items.ravel()],
        "stage": "shown", "position": np.tile(np.arange(1, SHOWN + 1), n), "propensity": 1 / RING, "logged_p": 1.0,
    }).write_parquet(folder / "candidates.parquet")  # fmt: skip
    text = toml.read_text().replace("[data]", '[data]\nrequests = "requests.parquet"\ncandidates = "candidates.parquet"')
    before, rank = text.split("[rank.dcnv2]")
    longer = rank.replace("epochs = 2 }", "epochs = 20, learning_rate = 0.01 }")
    toml.write_text(f"{before}[rank]{learn}{longer}{task}")
    return toml
