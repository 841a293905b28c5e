"""A log whose truth is known at a glance: each user walks round a ring of items, with a random look now and then.

The item after i is i + 1 with the stated certainty, so a sequence model can be nearly right and popularity can't.
"""

from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.rng import rng
from headrace.contracts.tables import EVENTS, ITEMS, TIME, USERS

DAY_US = 86_400_000_000
START_US = 1_700_000_000_000_000


def write_ring(folder: Path, *, users: int = 40, steps: int = 14, items: int = 24, noise: float = 0.1, seed: int = 0) -> None:
    """items.parquet, users.parquet and events.parquet in contract shape: one event a user and day."""
    draw = rng(seed, "ring")
    user, step = np.repeat(np.arange(users), steps), np.tile(np.arange(steps), users)
    start = np.repeat(draw.integers(0, items, users), steps)
    item = np.where(draw.random(len(user)) < noise, draw.integers(0, items, len(user)), (start + step) % items)
    at = START_US + step * DAY_US + draw.integers(0, DAY_US // 2, len(user))
    known = pl.lit(START_US).cast(pl.Int64).cast(TIME)
    events = pl.DataFrame({"user_id": [f"c{n}" for n in user], "item_id": [f"p{n}" for n in item], "at": at}).with_columns(
        pl.col("at").cast(TIME), event_id=pl.format("e{}", pl.int_range(pl.len())), kind=pl.lit("view")
    )
    titles = pl.DataFrame({
        "item_id": [f"p{n}" for n in range(items)], "title": [f"Product {n}" for n in range(items)],
        "categories": [[f"half {2 * n // items}", f"third {n % 3}"] for n in range(items)],
    }).with_columns(valid_from=known, available=pl.lit(True))  # fmt: skip
    people = pl.DataFrame({"user_id": [f"c{n}" for n in range(users)]}).with_columns(valid_from=known)
    for table, frame in ((EVENTS, events.sort("user_id", "at")), (ITEMS, titles), (USERS, people)):
        missing = [pl.lit(None, column.dtype).alias(column.name) for column in table.columns if column.name not in frame.columns]
        frame.with_columns(missing).select(table.names).write_parquet(folder / f"{table.name}.parquet")
