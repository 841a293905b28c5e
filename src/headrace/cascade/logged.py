"""What a plan's log says: tables, histories, cuts, features, and requests as of their moments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft, key_of
from headrace.build.graph import Graph
from headrace.cascade.foundation_section import NEED, need_foundation
from headrace.cascade.ids_section import need_item_vectors
from headrace.cascade.item_vectors import item_vectors, load_item_vectors, load_text_encoder
from headrace.cascade.mapped_foundation import check_foundation, load_foundation, mapped_foundation
from headrace.cascade.plan import Plan
from headrace.cascade.steering import PREFERENCE
from headrace.cascade.timeless import refuse_times
from headrace.contracts.config import as_dict, digest
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Allowed, History, Int32, Int64, Requests
from headrace.contracts.seams import Encoder
from headrace.data.clocks import Clock, clock_of
from headrace.data.features import Features
from headrace.data.forget import ERASED, erased_users
from headrace.data.importing import import_log
from headrace.data.log import Log
from headrace.data.splits import Cuts
from headrace.data.step_clock import cuts_of, held_out, step_times
from headrace.encode.preferences import slots_of

_COUNTS = 2
"""Raised when trailing counts give other figures of the same log."""


@dataclass
class Logged:
    """One plan's log: each part is worked out when it is asked for, and found again in the store."""

    plan: Plan
    graph: Graph
    sources: Mapping[str, str]

    def __post_init__(self) -> None:
        refuse_times(self.plan)

    @cached_property
    def tables(self) -> Artifact:
        """The log as contract tables, bad rows set aside."""
        plan, erased = self.plan, self._erased()

        def config(without: Sequence[str]) -> Mapping[str, Any]:
            return {
                "data": as_dict(plan.data),
                "kinds": {n: as_dict(k) for n, k in plan.kinds.items()},
                "files": {name: files for name, files in self.sources.items() if name != NEED},
                "erased": digest(sorted(without)),  # an erasure makes a new key, so all is made anew without the user
            }

        def make(draft: Draft) -> None:
            self.graph.progress("import", 0, 1)
            quarantine = self.graph.store.root / "quarantine.parquet"
            summary = import_log(
                plan.data, plan.kinds, base=plan.folder, out=draft.path, quarantine_path=quarantine, erased=self._erased()
            )
            draft.metrics = summary.as_dict()
            self.graph.progress("import", 1, 1)

        if self.graph.as_built:
            there = {one.key for one in self.graph.store.manifests() if one.kind == "tables"}
            before = (erased[:count] for count in range(len(erased), -1, -1)) if there else iter(())
            erased = next((one for one in before if key_of("tables", config(one), {}, 1) in there), erased)
        return self.graph.stage("tables", make, config=config(erased), personal=True)

    @property
    def set_aside(self) -> dict[str, int]:
        """Bad rows of the log, by table and reason."""
        found = self.tables.manifest.metrics["quarantined"]
        return {f"{table}: {reason}": rows for table, reasons in found.items() for reason, rows in reasons.items()}

    def _erased(self) -> list[str]:
        return erased_users(self.graph.store.root / ERASED)

    @cached_property
    def histories(self) -> Artifact:
        """Every user's events in one store, on the clock that the split cuts, memory-mapped from here on."""
        kinds, seed, counted = self.plan.kinds, self.plan.seed, bool(self.plan.features.count_days)

        def make(draft: Draft) -> None:
            log = Log.from_tables(self.tables.path, kinds, seed, histories=draft.path)
            if self.plan.split.by_steps:
                log.store.retimed(step_times(log.store.events, held_out(log, self.plan.split))).save_times(draft.path)
            if counted:
                _ = log.counts  # written beside the histories, so it has to be there before the folder is closed

        config = {"kinds": {n: as_dict(kind) for n, kind in kinds.items()}, "seed": seed, "counted": counted, **self._steps}
        return self.graph.stage("histories", make, config=config, inputs={"tables": self.tables}, personal=True)

    @property
    def _steps(self) -> dict[str, Any]:
        """What a key has to say of a clock of steps; on the clock of time, cuts say it all."""
        return {"split": as_dict(self.plan.split)} if self.plan.split.by_steps else {}

    @property
    def split_name(self) -> str:
        """As every table has it."""
        return self.plan.split.name(clock_of(self.tables.path))

    @cached_property
    def log(self) -> Log:
        clock: Clock | None = "ordinal" if self.plan.split.by_steps else None
        log = Log.from_tables(self.tables.path, self.plan.kinds, self.plan.seed, histories=self.histories.path, clock=clock)
        if not len(log.store.events.items):
            raise DataError(f"{self.plan.where}: no positive event is left to learn from. See [kinds] and the quarantine.")
        return log

    @cached_property
    def cuts(self) -> Cuts:
        return cuts_of(self.log, self.plan.split)

    @property
    def proposed_from_us(self) -> int:
        """Where the first scorer's window begins: what retrievers and features are fitted before, the first time."""
        return self.cuts.prerank_us

    @cached_property
    def features(self) -> Artifact:
        """Fitted on what was known before the first scorer's window."""
        cut, settings = self.proposed_from_us, self.plan.features

        def make(draft: Draft) -> None:
            fitted = self.log.features(cut, settings, without=held_out(self.log, self.plan.split))
            save_arrays(draft.path / "features.safetensors", fitted.arrays())

        config = {"cut_us": cut, **as_dict(settings), **self._steps}
        if settings.count_days:
            config["counts"] = _COUNTS
        vectors = {} if self.item_vectors is None else {"item_vectors": self.item_vectors}
        return self.graph.stage("features", make, config=config, inputs={"tables": self.tables, **vectors}, personal=True)

    @cached_property
    def item_vectors(self) -> Artifact | None:
        """What items' texts say, as of the features' cut; None where the plan has no use for it."""
        name = self.plan.features.item_vectors
        return None if name is None else item_vectors(self.graph, self.tables, self.log, self.proposed_from_us, name)

    def need_item_vectors(self, what: str) -> Artifact:
        """Those of the plan, or an error that says how to have some."""
        if self.item_vectors is None:
            raise need_item_vectors(what, self.plan.where)
        return self.item_vectors

    @cached_property
    def foundation(self) -> Artifact | None:
        """What an upstream model knows, in this log's numbers; None where the plan reads none."""
        artifact = self.plan.foundation.artifact
        if artifact is None:
            return None
        return mapped_foundation(self.graph, self.tables, self.log, self.plan.folder / artifact, self.sources[NEED])

    def need_foundation(self, what: str) -> Artifact:
        """That of the plan, or an error that says how to have one."""
        if self.foundation is None:
            raise need_foundation(what, self.plan.where)
        return self.foundation

    @cached_property
    def feature_object(self) -> Features:
        features = Features.from_arrays(load_arrays(self.features.path / "features.safetensors"))
        if self.item_vectors is not None:
            features = features.with_item_vectors(load_item_vectors(self.item_vectors))
        if self.foundation is not None:
            known = load_foundation(self.foundation)
            check_foundation(known, features, self.cuts, self.plan.where)
            features = features.with_foundation(known)
        return self.log.bind(features) if self.plan.features.count_days else features

    def requests(self, start_us: int, end_us: int, limit: int | None = None) -> tuple[Requests, History]:
        """Steps of a window with their users' features, as of each."""
        requests, answers = self.log.steps(
            start_us, end_us, newest=self.plan.newest, unseen_only=not self.plan.page.seen_items, limit=limit
        )
        if not len(requests):
            raise DataError(
                f"{self.plan.where}: a window of the split holds no event with an item its user did not have before. "
                "Set page.seen_items = true, give a longer log, or other shares in [split]."
            )
        return self._with_features(requests), answers

    def requests_of(self, users: Int32, at_us: Int64, ids: Sequence[str] | None = None) -> Requests:
        """Requests of these users at these moments, with all that was known by then. ids: user@moment by default."""
        requests = self._with_features(self.log.requests(users, at_us, self.plan.newest))
        return requests if ids is None else replace(requests, ids=np.array(ids))

    def with_preferences(self, requests: Requests, sentences: Sequence[str | None]) -> Requests:
        """What each request says it wants, in words, beside what is known of it. None: it says nothing."""
        if not any(sentences):
            return requests
        if self.text_encoder is None:
            raise ConfigError(
                f"{self.plan.where}: a preference in words is read by what made the items' vectors, and they have none. Set "
                '[features] item_vectors = "tfidf" or "minilm" and build again.'
            )
        slots = slots_of(sentences, self.text_encoder)
        return replace(requests, features={**requests.features, PREFERENCE: slots})

    @cached_property
    def text_encoder(self) -> Encoder | None:
        """What made the items' vectors; None where they have none."""
        return None if self.item_vectors is None else load_text_encoder(self.item_vectors)

    def _with_features(self, requests: Requests) -> Requests:
        return replace(requests, features=self.feature_object.users_at(requests.users, requests.at_us))

    def allowed(self, requests: Requests, at_us: int) -> Allowed:
        return Allowed(self.log.available(at_us), None if self.plan.page.seen_items else requests.history)
