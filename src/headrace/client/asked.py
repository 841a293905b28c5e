"""What is sent. Made by docs/make_client.py from the server's OpenAPI; not to be edited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Of one column of the items table. All that is said has to hold.

    any: It has one of these.
    none: It has none of these.
    min: Of a number: at least.
    max: Of a number: at most.
    """

    any: Sequence[bool | float | str] | None = None
    none: Sequence[bool | float | str] | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """A row of the log's events table; `received_at` is the server's to say.

    user_id: Who did it.
    item_id: To what.
    at: ISO 8601 with its offset from UTC.
    event_id: A hash of the event where it is missing. One that is known is not stored again.
    kind: May be left out where the log has one kind alone.
    value: A rating, a price, seconds: as the kind has it.
    request_id: Of the page it was done on: so the page counts as clicked.
    position: Where on the page, from 1.
    session_id: A gap of 30 minutes parts sessions where it is missing.
    query: What had been searched for.
    undoes: The event_id of the one that this takes back.
    """

    user_id: str
    item_id: str
    at: datetime
    event_id: str | None = None
    kind: str | None = None
    value: float | None = None
    request_id: str | None = None
    position: int | None = None
    session_id: str | None = None
    query: str | None = None
    undoes: str | None = None
