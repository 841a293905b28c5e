"""A plan worked through: import → features → retrievers → candidates → ranker → refit → a generation.

Cuts are nested (see data.splits): retrievers are first fitted up to the ranker's window and propose for it, so the ranker learns
from proposals for a later time than its retrievers have seen; then they are fitted again, up to the test window, and the ranker
is kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import component_class, load_component, settings_of
from headrace.build.fit import Source, fit
from headrace.build.graph import Graph
from headrace.cascade.cascade import Cascade
from headrace.cascade.join import join, stacked
from headrace.cascade.plan import Plan, trusted
from headrace.cascade.validation import ndcg_of_ranker, ndcg_of_retriever, recall_of
from headrace.contracts.config import as_dict
from headrace.contracts.errors import DataError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Allowed, Candidates, History, Int32, Int64, Requests
from headrace.data.features import Features
from headrace.data.importing import import_log
from headrace.data.log import Log
from headrace.data.splits import Cuts, temporal_cuts
from headrace.methods.page import PAGES
from headrace.methods.rank import RANKERS
from headrace.methods.retrieve import RETRIEVERS

_VALIDATED = 2000  # requests an early stop looks at
_NEWEST = 1000  # events of history a request carries
_AT_ONCE = 512


@dataclass
class Pipeline:
    """Stages are worked out when asked for, and found again in the store. One object is one plan."""

    plan: Plan
    graph: Graph
    sources: Mapping[str, str]

    @cached_property
    def tables(self) -> Artifact:
        """The log as contract tables, bad rows set aside."""
        plan = self.plan
        config = {
            "data": as_dict(plan.data),
            "kinds": {n: as_dict(k) for n, k in plan.kinds.items()},
            "files": dict(self.sources),
        }

        def make(draft: Draft) -> None:
            self.graph.progress("import", 0, 1)
            quarantine = self.graph.store.root / "quarantine.parquet"
            summary = import_log(plan.data, plan.kinds, base=plan.folder, out=draft.path, quarantine_path=quarantine)
            draft.metrics = summary.as_dict()
            self.graph.progress("import", 1, 1)

        return self.graph.stage("tables", make, config=config, personal=True)

    @cached_property
    def log(self) -> Log:
        log = Log.from_tables(self.tables.path, self.plan.kinds, self.plan.seed)
        if not len(log.store.events.items):
            raise DataError(f"{self.plan.where}: no positive event is left to learn from. See [kinds] and the quarantine.")
        return log

    @cached_property
    def cuts(self) -> Cuts:
        return temporal_cuts(self.log.store.events.at_us, self.plan.split)

    @cached_property
    def features(self) -> Artifact:
        """Fitted on what was known before the ranker's window."""

        def make(draft: Draft) -> None:
            save_arrays(draft.path / "features.safetensors", self.log.features(self.cuts.rank_us).arrays())

        return self.graph.stage(
            "features", make, config={"cut_us": self.cuts.rank_us}, inputs={"tables": self.tables}, personal=True
        )

    @cached_property
    def feature_object(self) -> Features:
        return Features.from_arrays(load_arrays(self.features.path / "features.safetensors"))

    def requests(self, start_us: int, end_us: int, limit: int | None = None) -> tuple[Requests, History]:
        """Steps of a window with their users' features, as of each."""
        requests, answers = self.log.steps(
            start_us, end_us, newest=_NEWEST, unseen_only=not self.plan.page.seen_items, limit=limit
        )
        return self._with_features(requests), answers

    def requests_of(self, users: Int32, at_us: Int64, ids: Sequence[str] | None = None) -> Requests:
        """Requests of these users at these moments, with all that was known by then. ids: user@moment by default."""
        requests = self._with_features(self.log.requests(users, at_us, _NEWEST))
        return requests if ids is None else replace(requests, ids=np.array(ids))

    def _with_features(self, requests: Requests) -> Requests:
        return replace(requests, features=self.feature_object.users_at(requests.users, requests.at_us))

    def retriever(self, name: str, *, final: bool) -> Artifact:
        """final: fitted on everything before the test window. Else on what comes before the window it proposes for: a learned
        one keeps the validation window out of its fit, to see when to stop, and the final fit trains as long."""
        cuts, epochs = self.cuts, None
        learned = hasattr(component_class(name, RETRIEVERS, "retrieve", trusted(self.plan)), "learn")
        if final and learned:
            epochs = self.retriever(name, final=False).manifest.metrics["epochs"]
        cut = cuts.test_us if final else cuts.valid_us if learned else cuts.rank_us
        source = Source(
            interactions=lambda: self.log.interactions(cut, self.feature_object),
            inputs={"tables": self.tables, "features": self.features},
            window={"cut_us": cut, "valid_until_us": cuts.rank_us if learned and not final else None,
                    "seen_items": self.plan.page.seen_items},
            needs=lambda: {"features": self.feature_object},
            validate=self._validate_retriever if learned and not final else None,
            epochs=epochs,
        )  # fmt: skip
        where = f"{self.plan.where} [retrieve.{name}]"
        return fit(
            self.graph, "retrieve", name, self.plan.of("retrieve", name), RETRIEVERS, source,
            seed=self.plan.seed, where=where, trusted=trusted(self.plan),
        )  # fmt: skip

    def load_retriever(self, name: str, *, final: bool) -> Any:
        return load_component(self.retriever(name, final=final), RETRIEVERS, trusted(self.plan))

    @cached_property
    def candidate_lists(self) -> Artifact:
        """What the retrievers propose in the ranker's window, and which proposals were chosen."""
        inputs = {name: self.retriever(name, final=False) for name in self.plan.retrieve.use}
        config = {"k": self.plan.retrieve.k, "window": [self.cuts.rank_us, self.cuts.test_us],
                  "most_requests": self.plan.rank.most_requests, "seen_items": self.plan.page.seen_items}  # fmt: skip

        def make(draft: Draft) -> None:
            requests, answers = self.requests(self.cuts.rank_us, self.cuts.test_us, self.plan.rank.most_requests)
            retrievers = {name: self.load_retriever(name, final=False) for name in self.plan.retrieve.use}
            available = self.log.available(self.cuts.rank_us)
            found = []
            for rows, part in requests.chunks(_AT_ONCE):
                allowed = Allowed(available, None if self.plan.page.seen_items else part.history)
                found.append(join({name: r.retrieve(part, self.plan.retrieve.k, allowed) for name, r in retrievers.items()}))
                self.graph.progress("candidates", rows.stop, len(requests))
            candidates = stacked(found)
            save_arrays(draft.path / "lists.safetensors", {
                "users": requests.users, "at_us": requests.at_us, "items": candidates.items,
                "label": CandidateLists.of(requests, candidates, answers).label,
                **{f"score.{name}": score for name, score in candidates.scores.items()},
            })  # fmt: skip
            draft.metrics = {"requests": len(requests), "recall": recall_of(candidates, requests, answers)}

        return self.graph.stage("candidates", make, config=config, inputs={"tables": self.tables, **inputs}, personal=True)

    def lists(self) -> CandidateLists:
        arrays = load_arrays(self.candidate_lists.path / "lists.safetensors")
        requests = self.requests_of(arrays["users"], arrays["at_us"])
        scores = {name: arrays[f"score.{name}"] for name in self.plan.retrieve.use}
        return CandidateLists(requests, Candidates(arrays["items"], scores), arrays["label"])

    @cached_property
    def ranker(self) -> Artifact:
        """Trained on the earlier part of its window, stopped by the later one."""
        held: dict[str, CandidateLists] = {}

        def needs() -> Mapping[str, Any]:
            lists = self.lists()
            cut = int(np.quantile(lists.requests.at_us, 0.85)) if len(lists) else 0
            held["valid"] = lists.take(np.flatnonzero(lists.requests.at_us >= cut))
            return {"features": self.feature_object, "candidate_lists": lists.take(np.flatnonzero(lists.requests.at_us < cut))}

        source = Source(
            interactions=lambda: self.log.interactions(self.cuts.rank_us, self.feature_object),
            inputs={"tables": self.tables, "features": self.features, "candidates": self.candidate_lists},
            window={"cut_us": self.cuts.rank_us},
            needs=needs,
            validate=lambda scorer: ndcg_of_ranker(scorer, held["valid"]),
        )
        name, where = self.plan.rank.use, f"{self.plan.where} [rank.{self.plan.rank.use}]"
        return fit(
            self.graph, "rank", name, self.plan.of("rank", name), RANKERS, source,
            seed=self.plan.seed, where=where, trusted=trusted(self.plan),
        )  # fmt: skip

    @cached_property
    def generation(self) -> Artifact:
        """The set of artifacts that serve together, and the cut they know up to."""
        names = self.plan.retrievers
        inputs = {"tables": self.tables, "features": self.features, "rank": self.ranker,
                  **{f"retrieve.{name}": self.retriever(name, final=True) for name in names}}  # fmt: skip
        page = component_class(self.plan.page.use, PAGES, f"{self.plan.where} [page]", trusted(self.plan))
        settings = settings_of(page, self.plan.of("page", self.plan.page.use), f"{self.plan.where} [page.{self.plan.page.use}]")
        config = {
            "retrieve": as_dict(self.plan.retrieve), "rank": self.plan.rank.use, "cut_us": self.cuts.test_us,
            "page": {**as_dict(self.plan.page), "component": self.plan.page.use, "settings": as_dict(settings)},
        }  # fmt: skip

        def make(draft: Draft) -> None:
            (draft.path / "generation.json").write_text(json.dumps(config, indent=1, sort_keys=True))

        return self.graph.stage("generation", make, config=config, inputs=inputs, personal=True)

    def cascade(self) -> Cascade:
        return self._cascade(final=True)

    def _cascade(self, *, final: bool) -> Cascade:
        generation, plan = self.generation, self.plan
        retrievers = {name: self.load_retriever(name, final=final) for name in plan.retrievers}
        page = generation.manifest.config["page"]
        kind = component_class(page["component"], PAGES, plan.where, trusted(plan))
        settings = settings_of(kind, page["settings"], plan.where)
        categories = self.feature_object.items_at(self.cuts.test_us).get("item.categories")
        return Cascade(
            {name: retrievers[name] for name in plan.retrieve.use},
            (plan.retrieve.fallback, retrievers[plan.retrieve.fallback]),
            load_component(self.ranker, RANKERS, trusted(plan)),
            kind(settings, policy_id=generation.key, categories=None if categories is None else categories[:, 0]),
            k=plan.retrieve.k,
            slots=settings.slots,
            available=self.log.available(self.cuts.test_us if final else self.cuts.rank_us),
            seen_items=plan.page.seen_items,
        )

    def _validate_retriever(self, retriever: Any) -> float:
        requests, answers = self._validation
        available = self.log.available(self.cuts.rank_us)
        return ndcg_of_retriever(retriever, requests, answers, available, seen_items=self.plan.page.seen_items)

    @cached_property
    def _validation(self) -> tuple[Requests, History]:
        return self.requests(self.cuts.valid_us, self.cuts.rank_us, _VALIDATED)
