"""Conversations as rows of work: the turns that share an id, by their index, as one transcript.

A chunk reads from the first turn of its conversations to the last. Where a conversation's turns stand together, as in most logs,
that is the chunk alone; where they are scattered, each chunk passes over much of the copy, but keeps its own.
"""

from pathlib import Path

import polars as pl

from headrace.artifacts.atomic import replacing
from headrace.contracts.errors import DataError
from headrace.data.sources import ROW, Source
from headrace.llm.annotation.plan import TRANSCRIPT, Plan
from headrace.llm.annotation.rows import KEY, Chunk, check_keys
from headrace.llm.transcript import ROLES, conversations, transcript

_AT = "__at"


class Turns:
    """rows: conversations. They come in the order of their first turns."""

    def __init__(self, plan: Plan, copy: Path):
        self._plan, self._copy = plan, pl.scan_parquet(copy)
        spans = self._copy.with_row_index(_AT).group_by(KEY).agg(first=pl.col(_AT).min(), last=pl.col(_AT).max())
        self._spans = spans.sort("first").collect(engine="streaming")
        self.rows = len(self._spans)
        self.chunks = -(-self.rows // plan.rows.chunk)

    def size(self, number: int) -> int:
        return min(self._plan.rows.chunk, self.rows - number * self._plan.rows.chunk)

    def chunk(self, number: int) -> Chunk:
        of = self._spans.slice(number * self._plan.rows.chunk, self._plan.rows.chunk)
        start, end = int(of["first"].min()), int(of["last"].max())  # type: ignore[arg-type]
        turns = self._copy.slice(start, end - start + 1).join(of.lazy(), on=KEY, how="semi", maintain_order="left").collect()
        read = conversations(turns.with_columns(conversation_id=pl.col(KEY).cast(pl.String)))
        texts = [{TRANSCRIPT: transcript(one, self._plan.rows.characters)} for one in read]
        return Chunk(number, of[KEY].rename(self._plan.rows.key), texts)


def copied_turns(plan: Plan, source: Source, path: Path) -> None:
    """Each turn has a conversation, an index of its own in it, and a role that is known."""
    of = plan.rows
    with replacing(path) as beside:
        with source.reading():
            rows = source.rows.select(
                ROW, pl.col(of.key).alias(KEY), index=pl.col(of.index).cast(pl.Int64, strict=False),
                role=pl.col(of.role).cast(pl.String), content=pl.col(of.content).cast(pl.String).fill_null(""),
            )  # fmt: skip
            rows.sink_parquet(beside, row_group_size=of.chunk)
        copy = pl.scan_parquet(beside)
        _refuse(plan, copy.filter(pl.col("index").is_null()), f'has no whole number as "{of.index}"')
        check_keys(plan, copy, [KEY, "index"])
        known = ", ".join(ROLES)
        _refuse(plan, copy.filter(~pl.col("role").is_in(ROLES).fill_null(False)), f'has another "{of.role}" than {known}')


def _refuse(plan: Plan, rows: pl.LazyFrame, wrong: str) -> None:
    first = rows.head(1).collect()
    if len(first):
        row = first.row(0, named=True)
        raise DataError(f"{plan.rows.path}: row {row[ROW]:,} ({plan.rows.key} {row[KEY]!r}, role {row['role']!r}) {wrong}.")
