"""A log ready to learn from: dense ids, one history store, and who asked for what when.

    log = Log.from_tables(folder, kinds, seed=0)       # the imported Parquet tables
    train = log.interactions(cuts.test_us)             # nothing at or after the cut
    requests, relevant = log.steps(cuts.test_us, log.end_us)

A step is a user's events at one moment. It is one request (as of that moment, so its history ends before it) whose answer
is the set of its items.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.interactions import Interactions
from headrace.contracts.kinds import Kind
from headrace.contracts.requests import Bool, History, Int32, Int64, Requests
from headrace.contracts.rng import rng
from headrace.data.clocks import Clock, clock_of, need_times
from headrace.data.consent import refusing_users
from headrace.data.counts import Counts, ItemTimes
from headrace.data.features import Features, FeaturesConfig
from headrace.data.histories import HistoryStore
from headrace.data.history_build import build_histories
from headrace.data.late_times import late_of
from headrace.data.steps import Steps, steps_between
from headrace.data.vocabulary import Vocabulary


class Log:
    """users, items: vocabularies. store: positive events. tables: the folder they came from, for titles and features.

    clock: "ordinal" where `at` is a row's or a step's number; then nothing that needs times is answered (`data.clocks`), what is
    known of items is the last row, and their features and users' are the first row's.
    """

    def __init__(
        self, users: Vocabulary, items: Vocabulary, store: HistoryStore, tables: Path, seed: int = 0,
        kinds: Mapping[str, Kind] | None = None, clock: Clock | None = None,
    ):  # fmt: skip
        self.users, self.items, self.store, self.tables, self.seed, self.kinds = users, items, store, tables, seed, kinds or {}
        self.clock = clock or clock_of(tables)

    @classmethod
    def from_tables(
        cls, tables: Path, kinds: Mapping[str, Kind] | None = None, seed: int = 0, histories: Path | None = None,
        clock: Clock | None = None,
    ) -> "Log":  # fmt: skip
        """histories: an existing folder for the history store, filled on first use and memory-mapped from then on, so that the
        log may be larger than memory (one folder a choice of kinds and seed); None: in memory. clock: what the times in that
        folder are, where it is not what the tables' are.
        """
        users, items = (
            Vocabulary(pl.read_parquet(tables / f"{side}s.parquet", columns=[key])[key].unique(maintain_order=True))
            for side, key in (("user", "user_id"), ("item", "item_id"))
        )
        if histories is not None and (histories / "offsets.npy").is_file():
            store = HistoryStore.load(histories)
        else:
            store = build_histories(tables, users, items, kinds or {}, seed, histories)
        return cls(users, items, store, tables, seed, kinds, clock)

    def with_store(self, store: HistoryStore) -> "Log":
        """The same log with its events in another order."""
        return Log(self.users, self.items, store, self.tables, self.seed, self.kinds, self.clock)

    @property
    def tied_share(self) -> float:
        """Share of events that stand at one moment with another of the same user."""
        at_us, offsets = self.store.events.at_us, self.store.events.offsets
        same = np.zeros(len(at_us) + 1, np.bool_)  # whether an event stands at its predecessor's moment
        np.equal(at_us[1:], at_us[:-1], out=same[1:-1])
        same[offsets] = False
        tied = same[:-1] | same[1:]
        return float(tied.mean()) if len(tied) else 0.0

    def features(self, cut_us: int, settings: FeaturesConfig | None = None, *, without: Bool | None = None) -> Features:
        """Fitted on what was known before the cut. without [users]: users whose rows are not looked at for it."""
        refusing = self.refusing(cut_us)
        left_out = refusing if without is None else refusing | without
        fitted = Features.fit(self.tables, self.users, self.items, cut_us, settings, without=left_out, clock=self.clock)
        return self.bind(fitted) if fitted.settings.count_days else fitted

    def bind(self, features: Features) -> Features:
        """Features whose trailing counts look at this log's events."""
        return features.bound(self.counts)

    @cached_property
    def counts(self) -> Counts:
        """Worked out on first use; memory-mapped beside the histories where those are."""
        need_times(self.clock, "A count over trailing days")
        times = ItemTimes.of(self.store.events, len(self.items), self.store.folder)
        return Counts(self.store, times, late_of(self.store, len(self.items)))

    def interactions(self, cut_us: int, features: Features | None = None) -> Interactions:
        """Everything strictly before the cut."""
        return self.interactions_until(self.store.places(cut_us), cut_us, features)

    def interactions_until(self, ends: Int64, cut_us: int, features: Features | None = None) -> Interactions:
        """Each user's events up to a place in the store of their own, [users]; none of them at or after the cut. Users who do not
        consent to training as of the cut have none."""
        ends = np.where(self.refusing(cut_us), self.store.events.offsets[:-1], ends)
        history = self.store.until(np.arange(len(ends)), ends, np.full(len(ends), cut_us))
        return Interactions(
            history,
            len(self.items),
            cut_us,
            weights=np.ones(len(history.items), np.float32),
            available=self.available(cut_us),
            features=features.items_at(cut_us - 1) if features else {},
        )

    def refusing(self, cut_us: int) -> Bool:
        """Which users do not consent to training as of a cut, [users]. On an ordinal clock their last row always holds."""
        mask = np.zeros(len(self.users), np.bool_)
        as_of = cut_us if self.clock == "time" else np.iinfo(np.int64).max
        mask[self.users.encode(refusing_users(self.tables, as_of)["user_id"])] = True
        return mask

    def available(self, at_us: int) -> Bool:
        """Which items may be shown at a moment: known by then and not withdrawn, [n_items]. On an ordinal clock, at any."""
        table = pl.read_parquet(self.tables / "items.parquet", columns=["item_id", "valid_from", "available"])
        known = table if self.clock == "ordinal" else table.filter(pl.col("valid_from").dt.timestamp("us") < at_us)
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
        no item left is dropped. Users who refuse training as of the window's end have no step. limit: a seeded sample of that
        many steps, in time order. newest: how much history to keep.
        """
        start, end = self.store.places(start_us), self.store.places(max(start_us, end_us))
        end = np.where(self.refusing(end_us), start, end)
        found = steps_between(self.store.events, start, end, len(self.items), unseen_only=unseen_only)
        if limit is not None and len(found) > limit:
            found = found.take(np.sort(rng(self.seed, "steps", start_us, end_us).permutation(len(found))[:limit]))
        return self.requests_of(found, newest), found.answers

    def requests_of(self, steps: Steps, newest: int | None = None, *, tied: bool = False) -> Requests:
        """Steps as requests, each with what stands before it in the store. tied: several may be of one user at one moment."""
        names = _names(steps.users, steps.at_us)
        if tied:
            nth = steps.begins - self.store.events.offsets[steps.users]
            names = np.char.add(np.char.add(names, "#"), nth.astype(np.str_))
        past = steps.past(self.store.events, newest) if tied else self.store.until(steps.users, steps.begins, steps.at_us, newest)
        return Requests(names, steps.users, steps.at_us, past)

    def requests(self, users: Int32, at_us: Int64, newest: int | None = None) -> Requests:
        """Requests of these users at these moments, histories as of them."""
        return Requests(_names(users, at_us), users, at_us, self.store.as_of(users, at_us, newest))


def _names(users: Int32, at_us: Int64) -> NDArray[np.str_]:
    return np.char.add(np.char.add(users.astype(np.str_), "@"), at_us.astype(np.str_))
