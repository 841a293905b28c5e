"""What users were taken to want as of each moment: short instructions, made of what they thought of the last few items before it.

    opinions = Opinions.of_log(log)                        who liked or disliked what, and when
    preferences = templates(opinions, phrases)             `preference_templates`; by a language model: `llm.preferences`
    preferences.as_of(users, at_us)                        int32 [R, most], places in preferences.texts, -1 where there are fewer

A user of n events has n + 1 states: what is wanted before the first, .., after the last. State k is made of events k - newest + 1
.. k alone and is read at moments after event k, so nothing of the future is in it; between events of one moment it is never read.
Each distinct instruction is kept once, with its polarity: +1 wanted, -1 to be avoided.
Memory O(events × most) int32. Paper: preference approximation of Paischer et al., arXiv 2412.08604, section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.requests import History, Int32, Int64
from headrace.contracts.rng import mix, seed_of
from headrace.contracts.tables import TIME, Column, Table
from headrace.data.event_parts import scan_events
from headrace.data.histories import HistoryStore, bisect
from headrace.data.log import Log
from headrace.data.vocabulary import Vocabulary

Int8 = NDArray[np.int8]
NEWEST = 5
"""Events a state is made of, and instructions it has, at most."""

PREFERENCES = Table(
    "preferences",
    ("user_id", "at", "rank"),
    (
        Column("user_id", pl.String, required=True),
        Column("at", TIME, required=True),  # of the newest event it is made of: it may be read at later moments alone
        Column("rank", pl.Int32, required=True),
        Column("text", pl.String, required=True),
        Column("polarity", pl.Int8, required=True),
        Column("source", pl.String, required=True),
    ),
)


@dataclass(frozen=True, eq=False)
class Opinions:
    """events: a row a user. mark [events]: +1 liked, -1 disliked, 0 neither."""

    events: History
    mark: Int8

    @classmethod
    def of_log(
        cls, log: Log, *, liked: float = 4.0, disliked: float = 2.0, rated: Sequence[str] = ("rating",),
        until_us: int | None = None,
    ) -> "Opinions":  # fmt: skip
        """liked, disliked: from and up to which value. rated: kinds whose value says how good it was; any other event speaks by
        its kind's polarity, neutral ones not at all. until_us: a cut; what comes then or later is left out. Ties in time stand in
        a drawn order, each event's draw its own."""
        rows = scan_events(log.tables, ["user_id", "item_id", "at", "kind", "value"]).collect()
        users, items = log.users.encode(rows["user_id"]), log.items.encode(rows["item_id"])
        at_us = rows["at"].dt.timestamp("us").to_numpy()
        value = rows["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        polarity = {name: {"positive": 1, "negative": -1, "neutral": 0}[kind.polarity] for name, kind in log.kinds.items()}
        by_kind = rows["kind"].replace_strict(polarity, default=1, return_dtype=pl.Int8).to_numpy()
        is_rating = rows["kind"].is_in(list(rated)).to_numpy() & ~np.isnan(value)
        mark = np.where(is_rating, (value >= liked).astype(np.int8) - (value <= disliked).astype(np.int8), by_kind)
        speaks = (users > 0) & (items > 0) & (is_rating | (by_kind != 0))
        if until_us is not None:
            speaks &= at_us < until_us
        return cls.of_events(users[speaks], items[speaks], at_us[speaks], mark[speaks], len(log.users), log.seed)

    @classmethod
    def of_events(cls, users: Int32, items: Int32, at_us: Int64, mark: NDArray[Any], n_users: int, seed: int) -> "Opinions":
        """From rows in any order."""
        draw = np.full(len(users), seed_of(seed, "opinions of a moment"), np.uint64)
        for part in (users, items, at_us):
            draw = mix(draw, part.astype(np.uint64))
        order = np.lexsort((draw, at_us, users))
        store = HistoryStore.from_events(users[order], items[order], at_us[order], n_users)
        return cls(store.events, mark[order].astype(np.int8))

    @property
    def states(self) -> int:
        return len(self.mark) + len(self.events)

    def windows(self, newest: int = NEWEST) -> Int64:
        """The places of the events each state is made of, newest first, -1 where there are fewer: [states, newest]."""
        lengths = self.events.lengths
        user = np.repeat(np.arange(len(lengths)), lengths + 1)
        last = np.arange(self.states) - user - 1  # state k of a user ends with their k-th event
        places: Int64 = last[:, None] - np.arange(newest)
        places[places < self.events.offsets[user, None]] = -1
        return places


@dataclass(frozen=True, eq=False)
class Preferences:
    """ids [states, most]: places in texts. texts, polarity [P]: each instruction once. source: who wrote them."""

    events: History
    ids: Int32
    texts: tuple[str, ...]
    polarity: Int8
    source: str

    @classmethod
    def of_states(cls, opinions: Opinions, said: Sequence[Sequence[tuple[str, int]]], source: str) -> "Preferences":
        """said: each state's instructions and their polarities."""
        known: dict[tuple[str, int], int] = {}
        ids = np.full((len(said), max([1, *map(len, said)])), -1, np.int32)
        for state, row in enumerate(said):
            ids[state, : len(row)] = [known.setdefault(one, len(known)) for one in row]
        polarity = np.array([sign for _, sign in known], np.int8)
        return cls(opinions.events, ids, tuple(text for text, _ in known), polarity, source)

    def as_of(self, users: Int32, at_us: Int64) -> Int32:
        """[R, most]: made of events strictly before each time. A user out of range has none."""
        known = np.where((users > 0) & (users < len(self.events)), users, 0)
        end = bisect(self.events.at_us, self.events.offsets[known], self.events.offsets[known + 1], at_us)
        found: Int32 = self.ids[end + known]
        return found

    def table(self, users: Vocabulary) -> pl.DataFrame:
        """A row an instruction, as PREFERENCES says; of several states of one moment the last."""
        lengths = self.events.lengths
        user = np.repeat(np.arange(len(lengths)), lengths + 1)
        begun = np.arange(len(self.ids)) > self.events.offsets[user] + user
        state, rank = np.nonzero((self.ids >= 0) & begun[:, None])
        at_us = self.events.at_us[state - user[state] - 1]
        said = self.ids[state, rank]
        rows = pl.DataFrame({
            "user_id": pl.Series(users.decode(user[state].astype(np.int32)), dtype=pl.String),
            "at": pl.Series(at_us).cast(TIME),
            "rank": rank.astype(np.int32),
            "text": pl.Series(self.texts, dtype=pl.String).gather(said),
            "polarity": self.polarity[said],
            "source": pl.repeat(self.source, len(said), dtype=pl.String, eager=True),
            "state": state,
        })  # fmt: skip
        last = pl.col("state") == pl.col("state").max().over("user_id", "at")
        return rows.filter(last).select(PREFERENCES.names)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        texts = [text.encode() for text in self.texts]
        return {
            "offsets": self.events.offsets, "items": self.events.items, "at_us": self.events.at_us, "ids": self.ids,
            "polarity": self.polarity, "texts": np.frombuffer(b"".join(texts), np.uint8),
            "text_lengths": np.array([len(text) for text in texts], np.int64),
            "source": np.frombuffer(self.source.encode(), np.uint8),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Preferences":
        events = History(arrays["offsets"], arrays["items"], arrays["at_us"])
        ends = np.cumsum(arrays["text_lengths"]).tolist()
        joined = arrays["texts"].tobytes()
        texts = tuple(joined[start:end].decode() for start, end in zip([0, *ends], ends, strict=False))
        return cls(events, arrays["ids"], texts, arrays["polarity"], arrays["source"].tobytes().decode())
