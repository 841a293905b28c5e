"""What an event must meet beyond being readable: its time, its kind, its value's range, its item, and being the only one."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import polars as pl

from headrace.contracts.kinds import Kind
from headrace.contracts.tables import EVENTS
from headrace.data.quarantine import DUPLICATE_KEY, DUPLICATE_ROW, Check, sift
from headrace.data.row_ids import row_ids

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_SKEW = timedelta(days=1)  # clocks of devices run ahead


def within_rules(
    events: pl.DataFrame, kinds: Mapping[str, Kind], items: pl.DataFrame, *, now: datetime | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """now: None where the clock is ordinal and times can't be early or late. items: with valid_from where the file gives it."""
    checks = [] if now is None else time_rules(now)
    if kinds:
        checks.append(Check("kind", "a kind that is not declared", ~pl.col("kind").is_in(list(kinds))))
    if "value" in events.columns:
        outside = [_outside(name, kind) for name, kind in kinds.items()]
        if outside:
            checks.append(Check("value", "a value outside its kind's range", pl.any_horizontal(outside)))
    if "valid_from" in items.columns:
        since = items.group_by("item_id").agg(
            __since=pl.when(pl.col("valid_from").is_not_null().all()).then(pl.col("valid_from").min())
        )
        events = events.join(since, on="item_id", how="left", maintain_order="left")
        checks.append(Check("at", "a time before its item exists", pl.col("at") < pl.col("__since")))
    kept, rejected = sift("events", events, checks, events)
    return kept.drop("__since", strict=False), rejected


def time_rules(now: datetime) -> list[Check]:
    return [
        Check("at", f"a time before {_EARLIEST.year}", pl.col("at") < _EARLIEST),
        Check("at", f"a time more than a day after {now:%Y-%m-%d}", pl.col("at") > now + _SKEW),
    ]


def distinct(events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first event of each id. An event without one gets the hash of its contents, so its duplicate is a duplicate row."""
    given = pl.col("event_id") if "event_id" in events.columns else pl.lit(None, pl.String)
    contents = events.select(name for name in EVENTS.names if name != "event_id" and name in events.columns)
    named = events.with_columns(__given=given.is_not_null(), event_id=pl.coalesce(given, pl.lit(row_ids(contents))))
    again = ~pl.col("event_id").is_first_distinct()
    checks = [
        Check("event_id", DUPLICATE_KEY, again & pl.col("__given")),
        Check("event_id", DUPLICATE_ROW, again & ~pl.col("__given")),
    ]
    kept, rejected = sift("events", named, checks, named)
    return kept.drop("__given"), rejected


def _outside(name: str, kind: Kind) -> pl.Expr:
    value = pl.col("value")
    low = value < kind.min_value if kind.min_value is not None else pl.lit(False)
    high = value > kind.max_value if kind.max_value is not None else pl.lit(False)
    return (pl.col("kind") == name) & (low | high)
