"""A small log as the contract's Parquet tables."""

import polars as pl

from headrace.contracts.rng import rng
from headrace.contracts.tables import EVENTS, ITEMS, TIME, USERS
from headrace.data.shape import in_shape


def write_tables(folder, events, items=None, users=None):
    """events: rows of (user, item, time in us) or (user, item, time, kind).

    items, users: columns with "valid_from" in us; what only events name is added, valid from its first event.
    """
    rows = [(*row, "view")[:4] for row in events]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "at", "kind"], orient="row")
    frame = frame.with_columns(pl.col("at").cast(TIME), event_id=pl.int_range(pl.len()).cast(pl.String))
    folder.mkdir(exist_ok=True)
    in_shape(frame, EVENTS).write_parquet(folder / "events.parquet")
    for table, columns, name in ((ITEMS, items, "items"), (USERS, users, "users")):
        key = table.key[0]
        given = pl.DataFrame(columns or {key: [], "valid_from": []}).with_columns(
            pl.col(key).cast(pl.String), pl.col("valid_from").cast(TIME)
        )
        seen = frame.group_by(key, maintain_order=True).agg(valid_from=pl.col("at").min())
        missing = seen.join(given.select(key), on=key, how="anti", maintain_order="left")
        in_shape(pl.concat([given, missing], how="diagonal"), table).write_parquet(folder / f"{name}.parquet")
    return folder


def some_events(n_users=12, n_items=15, n=200, last_us=60, seed=0):
    """Rows with many ties: 200 events of 12 users at 60 moments."""
    draw = rng(seed, "events")
    columns = (draw.integers(size, size=n).tolist() for size in (n_users, n_items, last_us))
    return [(f"u{user}", f"i{item}", at) for user, item, at in zip(*columns, strict=True)]
