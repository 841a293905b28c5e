"""What is asked and what is answered, as columns: Requests in, Candidates between the stages, Slates out.

R requests, K candidates a request, S slots a page. Items are dense int32 numbers; 0 is padding or unknown.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.int32, np.int64)
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class History:
    """Each row's past events, oldest first: row r is [offsets[r], offsets[r + 1]) of `items` and `at_us`."""

    offsets: Int64
    items: Int32
    at_us: Int64

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64:
        return np.diff(self.offsets)

    def rows(self) -> Int64:
        """The row of each event, [events]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def last(self, k: int) -> Int32:
        """The newest k items a row, [R, k], oldest first, 0 behind them where there are fewer."""
        return self._laid_out(self.items, k)

    def last_at_us(self, k: int) -> Int64:
        """Their moments, each in its item's place."""
        return self._laid_out(self.at_us, k)

    def _laid_out(self, values: NDArray[Number], k: int) -> NDArray[Number]:
        if len(self) == 1:  # a request at a time is what a server has, and steps are what it costs
            start, end = self.offsets.tolist()
            one, newest = np.zeros((1, k), values.dtype), values[max(end - k, start) : end]
            one[0, : len(newest)] = newest
            return one
        index = np.maximum(self.offsets[1:] - k, self.offsets[:-1])[:, None] + np.arange(k)
        there = index < self.offsets[1:, None]
        found = np.zeros(there.shape, values.dtype)
        found[there] = values[index[there]]
        return found

    def newest(self, k: int) -> "History":
        """At most the k last events of each row."""
        if len(self) == 1:
            start, end = self.offsets.tolist()
            start = max(end - k, start)
            return History(np.array([0, end - start]), self.items[start:end], self.at_us[start:end])
        lengths = np.minimum(self.lengths, k)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(offsets[-1]) + np.repeat(self.offsets[1:] - lengths - offsets[:-1], lengths)
        return History(offsets, self.items[index], self.at_us[index])

    def take(self, rows: Any) -> "History":
        lengths = self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return History(offsets, self.items[index], self.at_us[index])


@dataclass(frozen=True)
class Requests:
    """One row an answer is wanted for, with all that is known about it as of its time.

    ids [R] (strings) name the draws of an exploring policy; users [R]; at_us [R]; history: events strictly before at_us;
    features: name -> [R, ...], resolved as of at_us.
    """

    ids: NDArray[np.str_]
    users: Int32
    at_us: Int64
    history: History
    features: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Any) -> "Requests":
        features = {name: values[rows] for name, values in self.features.items()}
        return Requests(self.ids[rows], self.users[rows], self.at_us[rows], self.history.take(rows), features)

    def chunks(self, size: int) -> Iterator[tuple[slice, "Requests"]]:
        """Bounded memory for a stage that scores [R, catalogue]."""
        for start in range(0, len(self), size):
            rows = np.arange(start, min(start + size, len(self)))
            yield slice(start, start + len(rows)), self.take(rows)


@dataclass(frozen=True)
class Allowed:
    """Which items may be proposed: `items` [catalogue] for all requests, `blocked` for one request each (already seen)."""

    items: Bool | None = None
    blocked: History | None = None

    def take(self, rows: Any) -> "Allowed":
        return replace(self, blocked=self.blocked.take(rows) if self.blocked is not None else None)

    def mask(self, scores: Float32) -> Float32:
        """Scores [R, catalogue] with -inf where an item may not be proposed; item 0 never may. Works in place."""
        scores[:, 0] = -np.inf
        size = scores.shape[1]  # a catalogue that has grown since the scorer was fitted names items beyond it
        if self.items is not None:
            np.copyto(scores, -np.inf, where=~self.items[:size])
        if self.blocked is not None and len(scores) == 1:
            scores[0, self.blocked.items[self.blocked.items < size]] = -np.inf
        elif self.blocked is not None:
            known = self.blocked.items < size
            scores[self.blocked.rows()[known], self.blocked.items[known]] = -np.inf
        return scores


@dataclass(frozen=True)
class Candidates:
    """items [R, K], best first, 0 where a request has fewer than K. scores: stage name -> [R, K], NaN where it gave none.

    The mapping keeps the order of the stages, so it also says which retriever proposed an item and what each stage made of it.
    features: name -> [R, K, ...], what a candidate of a request has beyond both sides' own, resolved as of the request.
    """

    items: Int32
    scores: Mapping[str, Float32]
    features: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def there(self) -> Bool:
        return self.items > 0

    def take(self, rows: Any) -> "Candidates":
        return self._map(lambda values: values[rows])

    def top(self, stage: str, k: int) -> "Candidates":
        """The k best by a stage's score; ties keep the order they stand in."""
        order = np.argsort(-np.where(self.there, self.scores[stage], -np.inf), axis=1, kind="stable")[:, :k]
        if len(self) == 1:
            return self._map(lambda values: values[0].take(order[0], 0)[None])
        rows = np.arange(len(self))[:, None]
        return self._map(lambda values: values[rows, order])

    def first(self, k: int) -> "Candidates":
        """At most the k that stand first, of each request."""
        return self._map(lambda values: values[:, :k])

    def _map(self, of: Callable[[NDArray[Any]], NDArray[Any]]) -> "Candidates":
        """of: an array [R, K, ...] as it is to be."""
        scores, features = ({name: of(values) for name, values in held.items()} for held in (self.scores, self.features))
        return Candidates(of(self.items), scores, features)


@dataclass(frozen=True)
class Slates:
    """The pages given: items [R, S], 0 where a slot stayed empty; log_prob [R, S] of each item given the slots above it.

    An empty slot has log_prob 0. A deterministic policy's slates say so: an estimator that needs chance refuses them.
    """

    items: Int32
    log_prob: Float64
    policy_id: str
    deterministic: bool

    def __len__(self) -> int:
        return len(self.items)

    @property
    def propensity(self) -> Float64:
        return np.exp(self.log_prob)

    def take(self, rows: Any) -> "Slates":
        return replace(self, items=self.items[rows], log_prob=self.log_prob[rows])
