"""A log ready to learn from: dense ids, one history store, and who asked for what when.

    log = Log.from_tables(folder, kinds, seed=0)       # the imported Parquet tables
    train = log.interactions(cuts.test_us)             # nothing at or after the cut
    requests, relevant = log.steps(cuts.test_us, log.end_us)

A step is a user's events at one moment. It is one request (as of that moment, so its history ends before it) whose answer
is the set of its items.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.kinds import Kind
from headrace.contracts.requests import Bool, History, Int32, Int64, Requests
from headrace.contracts.rng import mix, rng, seed_of
from headrace.data.features import Features
from headrace.data.histories import HistoryStore
from headrace.data.vocabulary import Vocabulary


class Log:
    """users, items: vocabularies. store: positive events. tables: the folder they came from, for titles and features."""

    def __init__(self, users: Vocabulary, items: Vocabulary, store: HistoryStore, tables: Path, seed: int = 0):
        self.users, self.items, self.store, self.tables, self.seed = users, items, store, tables, seed

    @classmethod
    def from_tables(cls, tables: Path, kinds: Mapping[str, Kind] | None = None, seed: int = 0) -> "Log":
        events = pl.read_parquet(tables / "events.parquet", columns=["user_id", "item_id", "at", "kind"])
        users = Vocabulary(pl.read_parquet(tables / "users.parquet", columns=["user_id"])["user_id"].unique(maintain_order=True))
        items = Vocabulary(pl.read_parquet(tables / "items.parquet", columns=["item_id"])["item_id"].unique(maintain_order=True))
        if kinds:
            positive = [name for name, kind in kinds.items() if kind.polarity == "positive"]
            if not positive:
                raise DataError(
                    f"kinds: none of {', '.join(kinds)} is positive, so there is nothing to recommend from. "
                    'Set polarity = "positive" on one of them.'
                )
            events = events.filter(pl.col("kind").is_in(positive))
        who, what, at_us = (
            users.encode(events["user_id"]),
            items.encode(events["item_id"]),
            events["at"].dt.timestamp("us").to_numpy(),
        )
        # The order inside a step must be no signal, so it is drawn, not taken from the file. Each event has its own draw, so
        # what comes later in the log changes nothing before it.
        draws = np.full(len(events), seed_of(seed, "order inside a step"), np.uint64)
        for part in (who, what, at_us):
            draws = mix(draws, part.astype(np.uint64))
        store = HistoryStore.from_events(who, what, at_us, len(users), draws)
        return cls(users, items, store, tables, seed)

    @property
    def tied_share(self) -> float:
        """Share of events that stand at one moment with another of the same user."""
        events = self.store.events
        rows = events.rows()
        same = (np.diff(events.at_us) == 0) & (np.diff(rows) == 0)
        tied = np.concatenate([same, [False]]) | np.concatenate([[False], same])
        return float(tied.mean()) if len(tied) else 0.0

    def features(self, cut_us: int) -> Features:
        """Fitted on what was known before the cut."""
        return Features.fit(self.tables, self.users, self.items, cut_us)

    def interactions(self, cut_us: int, features: Features | None = None) -> Interactions:
        """Everything strictly before the cut."""
        everything = self.store.events
        keep = everything.at_us < cut_us
        counts = np.bincount(everything.rows()[keep], minlength=len(everything))
        history = History(
            np.concatenate([[0], np.cumsum(counts)]), np.asarray(everything.items[keep]), np.asarray(everything.at_us[keep])
        )
        return Interactions(
            history,
            len(self.items),
            cut_us,
            weights=np.ones(len(history.items), np.float32),
            available=self.available(cut_us),
            features=features.items_at(cut_us - 1) if features else {},
        )

    def available(self, at_us: int) -> Bool:
        """Which items may be shown at a moment: known by then and not withdrawn, [n_items]."""
        table = pl.read_parquet(self.tables / "items.parquet", columns=["item_id", "valid_from", "available"])
        known = table.filter(pl.col("valid_from").dt.timestamp("us") < at_us)
        held = known.sort("valid_from").group_by("item_id", maintain_order=True).last()
        mask = np.zeros(len(self.items), np.bool_)
        mask[self.items.encode(held["item_id"])] = held["available"].to_numpy()
        mask[0] = False
        return mask

    def steps(
        self, start_us: int, end_us: int, *, newest: int | None = None, unseen_only: bool = True, limit: int | None = None
    ) -> tuple[Requests, History]:
        """The steps with start <= time < end as requests, and each one's items as a History of the same rows.

        unseen_only: an item the user had before is not an answer (set it where seen items are not recommended); a step with
        no item left is dropped. limit: a seeded sample of that many steps, in time order. newest: how much history to keep.
        """
        events = self.store.events
        inside = np.flatnonzero((events.at_us >= start_us) & (events.at_us < end_us))
        rows = events.rows()
        users, items, at_us = rows[inside].astype(np.int32), events.items[inside], events.at_us[inside]
        if unseen_only:
            fresh = self._first_time(rows, np.asarray(events.items))[inside]
            users, items, at_us = users[fresh], items[fresh], at_us[fresh]
        first = np.ones(len(users), np.bool_)
        first[1:] = (np.diff(users) != 0) | (np.diff(at_us) != 0)
        starts = np.flatnonzero(first)
        answers = History(np.concatenate([starts, [len(users)]]), items, at_us)
        chosen = np.argsort(at_us[starts], kind="stable")
        if limit is not None and len(chosen) > limit:
            chosen = chosen[np.sort(rng(self.seed, "steps", start_us, end_us).permutation(len(chosen))[:limit])]
        answers = answers.take(chosen)
        users, at_us = users[starts][chosen], at_us[starts][chosen]
        return self.requests(users, at_us, newest=newest), answers

    def requests(self, users: Int32, at_us: Int64, newest: int | None = None) -> Requests:
        """Requests of these users at these moments, histories as of them."""
        names = np.char.add(np.char.add(users.astype(np.str_), "@"), at_us.astype(np.str_))
        return Requests(names, users, at_us, self.store.as_of(users, at_us, newest))

    def _first_time(self, users: Int64, items: Int32) -> Bool:
        """Whether each event is its user's first of its item; events stand in time order a user."""
        _, first = np.unique(users.astype(np.int64) * len(self.items) + items, return_index=True)
        mask = np.zeros(len(users), np.bool_)
        mask[first] = True
        return mask
