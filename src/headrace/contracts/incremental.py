"""A scorer whose state of a user is kept up to date an event at a time, instead of being made of the whole history again."""

from typing import Any, Protocol, runtime_checkable

from headrace.contracts.batch import Batch
from headrace.contracts.requests import Int32, Int64
from headrace.contracts.seams import State


@runtime_checkable
class Incremental(Protocol):
    """Of a user's events it is enough to know sums, to which a new one is added and from which the oldest is taken.

    sums: what the scorer makes of one user's events; they have `nbytes`, `events` (so many) and are never changed in place.
    `user(batch)` of one row is `features_of(batch)` with `read_of(sums)` of its history, within 1e-5; the second hangs on the
    order of the history's items alone.
    """

    @property
    def incremental(self) -> bool:
        """Whether sums hold with these settings and weights."""

    def state_of(self, items: Int32, at_us: Int64) -> Any:
        """Sums of events [T], oldest first."""

    def updated(self, sums: Any, items: Int32, at_us: Int64) -> Any:
        """With newer events too."""

    def less(self, sums: Any, items: Int32) -> Any:
        """Without the oldest events, which are these."""

    def read_of(self, sums: Any) -> State: ...
    def features_of(self, batch: Batch) -> State: ...
