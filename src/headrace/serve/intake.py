"""Events from outside to the online state: held against the rules of an import, so that the next build sets none of them aside.

A list is taken whole or not at all. An event without an id is named by a hash of what it says, so that it too can be sent again.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.kinds import Kind
from headrace.contracts.tables import EVENTS, TIME
from headrace.data.event_rules import within_rules
from headrace.data.row_ids import row_ids
from headrace.data.settings import DataConfig, kind_of_all
from headrace.data.sources import ROW
from headrace.serve.messages import Event, Received, Refused
from headrace.serve.state.layered import OnlineState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ANY_ITEM = pl.DataFrame()  # the tables' valid_from may be the first time an item was seen, which an earlier event only moves
_SENT = {name: dtype for name, dtype in EVENTS.schema().items() if name != "received_at"}


class Intake:
    """settings, kinds: of the build's plan; they say what an event's kind may be."""

    def __init__(self, state: OnlineState, settings: DataConfig, kinds: Mapping[str, Kind]):
        self.state, self.settings, self.kinds = state, settings, kinds

    def take(self, events: Sequence[Event], now_us: int, *, one: bool = False) -> Received:
        """now_us: about now; when they were received is the state's to say. one: it did not come as a list.

        Refused names the field of the first event that breaks a rule."""
        now = _EPOCH + timedelta(microseconds=now_us)
        rows = pl.DataFrame([event.model_dump() for event in events], schema=_SENT)
        if rows["kind"].has_nulls():
            rows = rows.with_columns(pl.col("kind").fill_null(self._only_kind("kind" if one else f"{_first_null(rows)}.kind")))
        _, refused = within_rules(rows.with_row_index(ROW), self.kinds, _ANY_ITEM, now=now)
        if len(refused):
            row, field, reason, value = refused.select("row", "column", "reason", "value").row(0)
            hint = f"{nearest(value, self.kinds)} Kinds: {listed(self.kinds)}." if field == "kind" else ""
            raise Refused(field if one else f"{row}.{field}", f'is "{value}": {reason}.{hint}')
        if rows["event_id"].has_nulls():  # a hash of what an event says is most of what it costs to take in
            rows = rows.with_columns(event_id=pl.coalesce("event_id", pl.lit(row_ids(rows.drop("event_id")))))
        whole = rows.with_columns(received_at=pl.lit(now).cast(TIME)).select(EVENTS.names)
        stored = self.state.receive(whole)
        erased = ~stored & self.state.erased(whole["user_id"].to_list())
        return Received(stored=int(stored.sum()), repeated=int((~stored & ~erased).sum()), erased=int(erased.sum()))

    def _only_kind(self, field: str) -> str:
        try:
            return kind_of_all(self.settings, self.kinds)
        except ConfigError:
            raise Refused(field, f"is required: the log has several kinds. Kinds: {listed(self.kinds)}.") from None


def _first_null(rows: pl.DataFrame) -> int | None:
    return rows["kind"].is_null().arg_max()
