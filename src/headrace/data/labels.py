"""What impressions led to: shown candidates joined with the outcomes that came in their window, as known before a cut.

    [tasks.purchase]
    event = "purchase"
    window_h = 72
    credit = "last_impression"

An outcome at t can be credited to impressions of the same user and item at t - window < at <= t: to the last of them, the first,
or all. Only what was known before the cut counts: rows at or after it, or received at or after it, are not there, and an
outcome undone by an event known by then never was. An impression whose window had not closed by the cut could still turn out
either way, so it is censored: counted, not labelled. Credit is given before censoring, so an outcome of a censored impression
does not fall back on an older one. Cost O(n log n): each join is by nearest time.

It knows no value but 0 and 1, and reads `events.request_id` for nothing: where each outcome names its impression, join on that.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from annotated_types import Gt

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError, listed, nearest
from headrace.data.clocks import clock_of, need_times
from headrace.data.consent import refusing_users
from headrace.data.event_parts import scan_events

_PAIR = ["user_id", "item_id"]


@config
class TaskConfig:
    """[tasks.NAME]. event: the kind that makes an impression positive. window_h: how long after it, in hours."""

    event: str
    window_h: Annotated[float, Gt(0)]
    credit: Literal["last_impression", "first_impression", "all_impressions"] = "last_impression"


@dataclass(frozen=True)
class Labels:
    """rows: request_id, item_id, user_id, at_us, position, propensity, label (0 or 1), one an impression, in time order.

    impressions: known before the cut, of users who consent. censored: those whose window had not closed. outcomes: known before
    the cut and not undone. uncredited: those no impression explains. undone: outcomes taken back by then.
    """

    rows: pl.DataFrame
    impressions: int
    censored: int
    outcomes: int
    uncredited: int
    undone: int


def labels_of(tables: Path, task: TaskConfig, cut_us: int, since_us: int | None = None) -> Labels:
    """From the folder's requests, candidates and events. DataError where nothing was logged as shown.

    since_us: impressions and outcomes from there on alone; memory then follows what lies between it and the cut.
    """
    need_times(clock_of(tables), "A label with a window")
    for name in ("requests", "candidates"):
        if not (tables / f"{name}.parquet").is_file():
            raise DataError(f"{tables} has no {name}.parquet: labels need the requests and what was shown for them.")
    _check_kind(scan_events(tables, ["kind"]), task)
    at_us = pl.col("at").dt.timestamp("us")
    asked = pl.scan_parquet(tables / "requests.parquet", glob=False).select("request_id", "user_id", "at")
    shown = pl.scan_parquet(tables / "candidates.parquet", glob=False).filter(pl.col("stage") == "shown")
    events = scan_events(tables, ["event_id", *_PAIR, "at", "received_at", "kind", "undoes"]).filter(at_us < cut_us)
    if since_us is not None:  # the first impression of an outcome may lie a window before it
        asked = asked.filter(at_us >= since_us - _window_us(task))
        events = events.filter(((at_us >= since_us) & (pl.col("kind") == task.event)) | pl.col("undoes").is_not_null())
    shown = shown.select("request_id", "item_id", "position", "propensity").join(asked.filter(at_us < cut_us), on="request_id")
    refusing = refusing_users(tables, cut_us).lazy()
    impressions, logged = (
        rows.with_columns(at_us).join(refusing, on="user_id", how="anti").collect(engine="streaming") for rows in (shown, events)
    )
    return label(impressions, logged, task, cut_us, since_us)


def label(impressions: pl.DataFrame, events: pl.DataFrame, task: TaskConfig, cut_us: int, since_us: int | None = None) -> Labels:
    """impressions: request_id, user_id, item_id, at [us], position, propensity. events: event_id, user_id, item_id, at [us],
    received_at, kind, undoes. since_us: labels and counts are of what lies at or after it."""
    window_us, recent = _window_us(task), pl.lit(True) if since_us is None else pl.col("at") >= since_us
    known = events.filter(pl.col("at") < cut_us, (pl.col("received_at").dt.timestamp("us") < cut_us).fill_null(True))
    outcomes = known.filter(pl.col("kind") == task.event, recent)
    standing = outcomes.join(_undone(known), on="event_id", how="anti")
    order = [*_PAIR, "at", "position", "request_id"]
    past = impressions.filter(pl.col("at") < cut_us).sort(order, descending=[False] * 3 + [True] * 2, nulls_last=True)
    past = past.with_row_index("impression").with_columns(shown_us="at")
    mine = past.filter(recent)
    found = standing.select(*_PAIR, "at").sort(*_PAIR, "at").with_row_index("outcome")
    credited, explained = _credited(past, found, task.credit, window_us)
    labelled = mine.with_columns(label=pl.col("impression").is_in(credited.implode()).cast(pl.Int8))
    closed = labelled.filter(pl.col("at") <= cut_us - window_us).sort("at", "request_id", "item_id")
    names = ["request_id", "item_id", "user_id", "at", "position", "propensity", "label"]
    rows = closed.select(names).rename({"at": "at_us"})
    return Labels(
        rows, len(mine), len(mine) - len(rows), len(standing), len(standing) - explained, len(outcomes) - len(standing)
    )  # fmt: skip


def _credited(past: pl.DataFrame, outcomes: pl.DataFrame, credit: str, window_us: int) -> tuple[pl.Series, int]:
    """Impressions with an outcome, and how many outcomes have an impression. Rows of one moment: the first shown wins."""
    before = _nearest(outcomes, past, "backward", pl.col("at")).filter(pl.col("at") - pl.col("shown_us") < window_us)
    if credit == "last_impression":
        return before["impression"].unique(), len(before)
    if credit == "first_impression":
        # Turned round, so that of two shown at one moment the first stands first here too.
        first = _nearest(outcomes, past.sort(*_PAIR, "at", "position", "request_id"), "forward", pl.col("at") - window_us + 1)
        return first.filter(pl.col("shown_us") <= pl.col("at"))["impression"].unique(), len(before)
    later = outcomes.with_columns(outcome_us="at")
    led = _nearest(past, later, "forward", pl.col("at")).filter(pl.col("outcome_us") - pl.col("at") < window_us)
    return led["impression"], len(before)


def _nearest(rows: pl.DataFrame, others: pl.DataFrame, strategy: Literal["backward", "forward"], key: pl.Expr) -> pl.DataFrame:
    """Each row with the nearest of the others of its user and item, by time; rows without one are left out. The others are in
    order of time for each user and item."""
    found = rows.with_columns(key=key).sort(*_PAIR, "key").join_asof(
        others.drop("at").with_columns(key=others["at"]), on="key", by=_PAIR, strategy=strategy, check_sortedness=False
    )  # fmt: skip
    return found.drop_nulls("impression" if "impression" in others.columns else "outcome_us")


def _undone(known: pl.DataFrame) -> pl.DataFrame:
    """Ids of events that another known one takes back, unless that one was taken back itself."""
    takes = known.filter(pl.col("undoes").is_not_null())
    standing = takes.join(takes.select(event_id="undoes"), on="event_id", how="anti")
    return standing.select(event_id="undoes")


def _window_us(task: TaskConfig) -> int:
    return round(task.window_h * 3_600_000_000)


def _check_kind(events: pl.LazyFrame, task: TaskConfig) -> None:
    kinds = events.select(pl.col("kind").unique()).collect(engine="streaming")["kind"].sort().to_list()
    if task.event not in kinds:
        raise ConfigError(
            f'[tasks] event = "{task.event}": the log has no such kind.{nearest(task.event, kinds)} It has: {listed(kinds)}.'
        )
