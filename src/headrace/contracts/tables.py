"""The tables of a product's log. They cannot be added to later without rewriting logs, so a test holds them as they are.

Times are UTC microseconds. Ids are strings here and dense int32 inside (see `data.vocabulary`).
A column that is not required and has no default is null where the source has none.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

TIME = pl.Datetime("us", "UTC")
NO_DEFAULT: Any = object()


@dataclass(frozen=True)
class Column:
    name: str
    dtype: pl.DataType | type[pl.DataType]
    required: bool = False
    default: Any = NO_DEFAULT
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """`key` names the columns that are unique together. `open_ended`: further columns are kept as named features."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    open_ended: bool = False

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def schema(self) -> pl.Schema:
        return pl.Schema({column.name: column.dtype for column in self.columns})


def _id(name: str) -> Column:
    return Column(name, pl.String, required=True)


def _time(name: str, required: bool = False) -> Column:
    return Column(name, TIME, required=required)


def _text(name: str, required: bool = False) -> Column:
    return Column(name, pl.String, required=required)


ITEMS = Table(
    "items",
    ("item_id", "valid_from"),
    (
        _id("item_id"),
        _time("valid_from"),  # a missing one is the first time the item is seen
        _text("title"),
        _text("text"),
        Column("categories", pl.List(pl.String)),
        _text("locale"),
        Column("available", pl.Boolean, default=True),
        _text("image"),
        Column("price", pl.Float64),
    ),
    open_ended=True,
)
USERS = Table(
    "users",
    ("user_id", "valid_from"),
    (
        _id("user_id"),
        _time("valid_from"),
        _text("locale"),
        Column("consent_train", pl.Boolean, default=True),
        Column("consent_personalise", pl.Boolean, default=True),
    ),
    open_ended=True,
)
EVENTS = Table(
    "events",
    ("event_id",),
    (
        _text("event_id"),  # a missing one is the hash of its row
        _id("user_id"),
        _id("item_id"),
        _time("at", required=True),
        _time("received_at"),
        _text("kind", required=True),
        Column("value", pl.Float64),
        _text("request_id"),
        Column("position", pl.Int32),
        _text("session_id"),  # a missing one: sessions end after a gap of 30 minutes
        _text("query"),
        _text("undoes"),
    ),
)
REQUESTS = Table(
    "requests",
    ("request_id",),
    (
        _id("request_id"),
        _id("user_id"),
        _time("at", required=True),
        _text("surface", required=True),
        _text("policy_id", required=True),
        _text("generation_id"),
        Column("seed", pl.Int64, required=True),
        _text("session_id"),
        _text("query"),
        _text("preference"),
    ),
    open_ended=True,
)
CANDIDATES = Table(
    "candidates",
    ("request_id", "item_id"),
    (
        _id("request_id"),
        _id("item_id"),
        Column("stage", pl.String, required=True, choices=("recalled", "considered", "shown")),
        Column("position", pl.Int32),
        Column("scores", pl.List(pl.Struct({"stage": pl.String, "score": pl.Float64}))),
        Column("propensity", pl.Float64),
        Column("logged_p", pl.Float64, required=True),  # the share at which unshown rows are kept
    ),
)
EXPOSURES = Table(
    "exposures",
    ("experiment_id", "unit_id"),
    (
        _id("experiment_id"),
        _id("unit_id"),
        Column("unit_kind", pl.String, required=True, choices=("user", "session", "request")),
        _text("arm", required=True),
        _time("first_at", required=True),
    ),
)
TURNS = Table(
    "turns",
    ("conversation_id", "index"),
    (
        _id("conversation_id"),
        Column("index", pl.Int32, required=True),
        _id("user_id"),
        _text("role", required=True),
        _text("content", required=True),
        _time("at", required=True),
        _text("policy_id"),
    ),
)
FEEDBACK = Table(
    "feedback",
    ("target_type", "target_id", "kind", "at"),
    (
        _text("target_type", required=True),
        _id("target_id"),
        _text("kind", required=True),
        _time("at", required=True),
        Column("value", pl.Float64),
    ),
)
QUERIES = Table("queries", ("query_id",), (_id("query_id"), _text("text", required=True), _text("locale")))
JUDGMENTS = Table(
    "judgments", ("query_id", "item_id"), (_id("query_id"), _id("item_id"), Column("grade", pl.Int32, required=True))
)
ERASURES = Table("erasures", ("user_id",), (_id("user_id"), _time("at", required=True)))

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        ITEMS, USERS, EVENTS, REQUESTS, CANDIDATES, EXPOSURES, TURNS, FEEDBACK, QUERIES, JUDGMENTS, ERASURES,
    )
}  # fmt: skip
