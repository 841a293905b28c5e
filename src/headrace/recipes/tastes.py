"""A small catalogue with planted tastes, written as tables: what is said of an item tells its topic, and users like two of them.

topics × items a topic; an item's text is six of its topic's eight words, its category the topic
a user takes items of two topics they like (rated 5) and now and then of any other (rated 1)
"""

from pathlib import Path

import polars as pl

from headrace.contracts.rng import rng
from headrace.contracts.tables import EVENTS, ITEMS, TIME, USERS
from headrace.data.shape import in_shape, with_first_seen, with_missing

_OTHER = 0.2


def write_tastes(folder: Path, *, users: int, steps: int, topics: int = 6, each: int = 8) -> None:
    draw = rng(0, "tastes")
    rows = []
    for user in range(users):
        liked = draw.permutation(topics)[:2]
        taken: set[int] = set()
        for step in range(steps):
            fits = draw.random() >= _OTHER
            topic = int(draw.choice(liked)) if fits else int(draw.integers(topics))
            left = [item for item in range(topic * each, (topic + 1) * each) if item not in taken]
            if left:
                item = int(draw.choice(left))
                taken.add(item)
                rows.append((f"u{user}", f"i{item}", user + 1_000_000 * (step + 1), 5.0 if topic in liked else 1.0))
    events = in_shape(
        pl.DataFrame(rows, schema=["user_id", "item_id", "at", "value"], orient="row").with_columns(
            pl.col("at").cast(TIME), kind=pl.lit("rating"), event_id=pl.format("tastes-{}", pl.int_range(pl.len()))
        ),
        EVENTS,
    )
    words = [[f"word{'abcdefgh'[n]}{'pqrstuvw'[topic % 8]}" for n in range(8)] for topic in range(topics)]
    items = pl.DataFrame({
        "item_id": [f"i{item}" for item in range(topics * each)],
        "text": [" ".join(draw.permutation(words[item // each])[:6].tolist()) for item in range(topics * each)],
        "categories": [[f"Topic{'pqrstuvw'[item // each % 8]}"] for item in range(topics * each)],
    })  # fmt: skip
    events.write_parquet(folder / "events.parquet")
    in_shape(with_first_seen(items, ITEMS, events), ITEMS).write_parquet(folder / "items.parquet")
    in_shape(with_missing(pl.DataFrame(schema={"user_id": pl.String}), USERS, events), USERS).write_parquet(
        folder / "users.parquet"
    )
