"""A plan worked through: import → features → retrievers → candidates → pre-ranker → ranker → refit → a generation.

Cuts are nested (see data.splits): retrievers are first fitted up to the first scorer's window and propose for it and the next,
so a scorer learns from what the stages before it make of a later time than they have seen; then the retrievers are fitted again,
up to the test window, and the scorers are kept.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import component_class, load_component, settings_of
from headrace.build.fit import Source, fit
from headrace.cascade.calibrating import calibration, load_calibration
from headrace.cascade.cascade import Cascade
from headrace.cascade.categories import category_bags
from headrace.cascade.item_vectors import load_item_vectors
from headrace.cascade.join import stacked
from headrace.cascade.logged import Logged
from headrace.cascade.plan import trusted
from headrace.cascade.preferences import load_wishes, preferences
from headrace.cascade.scoring import Scoring, propose, score, with_pairs
from headrace.cascade.semantic_ids import load_semantic_ids, semantic_ids
from headrace.cascade.shown import Impressions, need_positive, proposed_share
from headrace.cascade.steering import Steering
from headrace.cascade.validation import ndcg_of_retriever, newest_apart, recall_of, value_of_ranker
from headrace.contracts.config import as_dict
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, History, Requests
from headrace.encode.semantic_ids import QUANTISERS
from headrace.methods.page import PAGES
from headrace.methods.page.explore.rules import resolve
from headrace.methods.prerank import PRERANKERS
from headrace.methods.rank import RANKERS
from headrace.methods.retrieve import RETRIEVERS

_VALIDATED = 2000  # requests an early stop looks at
_AT_ONCE = 512
_HELD = 0.15  # share of a scorer's window that stops its training

SCORERS = {"prerank": PRERANKERS, "rank": RANKERS}


@dataclass
class Pipeline(Logged):
    """Stages are worked out when asked for, and found again in the store. One object is one plan."""

    def retriever(self, name: str, *, final: bool) -> Artifact:
        """final: fitted on everything before the test window. Else on what comes before the window it proposes for: a learned
        one keeps the validation window out of its fit, to see when to stop, and the final fit trains as long."""
        cuts, epochs = self.cuts, None
        learned = hasattr(component_class(name, RETRIEVERS, "retrieve", trusted(self.plan)), "learn")
        if final and learned:
            epochs = self.retriever(name, final=False).manifest.metrics["epochs"]
        cut = cuts.test_us if final else cuts.valid_us if learned else self.proposed_from_us
        of_items = self._of_items(name, cut)
        source = Source(
            interactions=lambda: self.log.interactions(cut, self.feature_object),
            inputs={"tables": self.tables, "features": self.features, **{need: made for need, (made, _) in of_items.items()}},
            window={"cut_us": cut, "valid_until_us": self.proposed_from_us if learned and not final else None,
                    "seen_items": self.plan.page.seen_items},
            needs=lambda: {"features": self.feature_object, **{need: load(made) for need, (made, load) in of_items.items()}},
            validate=self._validate_retriever if learned and not final else None,
            epochs=epochs,
        )  # fmt: skip
        return self._fit("retrieve", name, RETRIEVERS, source)

    def _of_items(self, name: str, cut_us: int) -> dict[str, tuple[Artifact, Callable[[Artifact], Any]]]:
        """What a retriever reads of items' texts and users' wishes, if it says so: its key hangs on nothing it never sees."""
        needs, found = self.plan.needs_of(name), dict[str, tuple[Artifact, Callable[[Artifact], Any]]]()
        if "semantic_ids" in needs:
            found["semantic_ids"] = self.semantic_ids(cut_us), load_semantic_ids
        if "item_vectors" in needs:
            found["item_vectors"] = self.need_item_vectors(name), load_item_vectors
        if "preferences" in needs:
            vectors = self.need_item_vectors(name)
            found["preferences"] = (
                preferences(self.graph, self.tables, self.log, vectors, cut_us, self.plan.preferences),
                load_wishes,
            )
        return found

    def semantic_ids(self, cut_us: int) -> Artifact:
        """Of every item with a text, by a quantiser that was fitted on what was chosen before the cut."""
        vectors = self.need_item_vectors("semantic ids")
        return semantic_ids(self.graph, self.tables, self.log, self.quantiser(cut_us), vectors, trusted(self.plan))

    def quantiser(self, cut_us: int) -> Artifact:
        vectors = self.need_item_vectors("semantic ids")
        source = Source(
            interactions=lambda: self.log.interactions(cut_us),
            inputs={"tables": self.tables, "item_vectors": vectors},
            window={"cut_us": cut_us, **self._steps},
            needs=lambda: {"item_vectors": load_item_vectors(vectors)},
        )
        return self._fit("ids", self.plan.ids.method, QUANTISERS, source)

    def load_retriever(self, name: str, *, final: bool) -> Any:
        return load_component(self.retriever(name, final=final), RETRIEVERS, trusted(self.plan))

    @property
    def scoring_stages(self) -> list[str]:
        return ["rank"] if self.plan.prerank.use is None else ["prerank", "rank"]

    def window(self, stage: str) -> tuple[int, int]:
        """What a scorer learns from; without a pre-ranker the ranker has its window too."""
        if stage == "prerank":
            return self.cuts.prerank_us, self.cuts.rank_us
        return self.cuts.prerank_us if self.plan.prerank.use is None else self.cuts.rank_us, self.cuts.test_us

    def candidate_lists(self, stage: str) -> Artifact:
        """What the stages before this one leave of its window, and which of it was chosen, or what came of what was shown."""
        inputs = {name: self.retriever(name, final=False) for name in self.plan.retrieve.use}
        before = self.scoring_stages[: self.scoring_stages.index(stage)]
        start, end = self.window(stage)
        most = getattr(self.plan, stage).most_requests
        config = {"k": self.plan.retrieve.k, "window": [start, end], "most_requests": most,
                  "keep": [getattr(self.plan, one).keep for one in before], "seen_items": self.plan.page.seen_items}  # fmt: skip
        task = self.plan.task_of(stage)
        if task is not None:
            config["task"] = as_dict(task)

        def make(draft: Draft) -> None:
            retrievers = {name: self.load_retriever(name, final=False) for name in self.plan.retrieve.use}
            scorings = [self.scoring(one) for one in before]

            def proposing(part: Requests, shown: Candidates | None = None) -> Candidates:
                return propose(retrievers, part, self.plan.retrieve.k, self.allowed(part, start), shown)

            def progress(done: int, of: int) -> None:
                self.graph.progress(f"candidates to {stage}", done, of)

            if task is None:
                requests, answers = self.requests(start, end, most)
                found = []
                for rows, part in requests.chunks(_AT_ONCE):
                    found.append(score(scorings, part, with_pairs(self.feature_object, part, proposing(part))))
                    progress(rows.stop, len(requests))
                lists = CandidateLists.of(requests, stacked(found), answers)
                draft.metrics = {"requests": len(requests), "recall": recall_of(lists.candidates, requests, answers)}
            else:
                shown = Impressions.between(self.tables.path, self.log, task, start, end, most)
                need_positive(shown, task, f"{self.plan.where} [{stage}]")
                requests = self.requests_of(shown.users, shown.at_us)
                lists = shown.lists(requests, proposing, scorings, self.feature_object, progress)
                recall = proposed_share(lists, self.plan.retrieve.use)
                draft.metrics = {"requests": len(requests), "recall": recall, **shown.counts}
            save_arrays(draft.path / "lists.safetensors", {
                "users": requests.users, "at_us": requests.at_us, "items": lists.candidates.items, "label": lists.label,
                **({} if lists.known is None else {"known": lists.known}),
                **{f"score.{name}": scores for name, scores in lists.candidates.scores.items()},
            })  # fmt: skip

        inputs = {"tables": self.tables, "features": self.features, **inputs, **{one: self.scorer(one) for one in before}}
        return self.graph.stage("candidates", make, config=config, inputs=inputs, personal=True, name=f"to {stage}")

    def lists(self, stage: str) -> CandidateLists:
        arrays = load_arrays(self.candidate_lists(stage).path / "lists.safetensors")
        requests = self.requests_of(arrays["users"], arrays["at_us"])
        names = [*self.plan.retrieve.use, *self.scoring_stages[: self.scoring_stages.index(stage)]]
        candidates = Candidates(arrays["items"], {n: arrays[f"score.{n}"] for n in names})
        with_features = with_pairs(self.feature_object, requests, candidates)
        return CandidateLists(requests, with_features, arrays["label"], arrays.get("known"))

    def scorer(self, stage: str) -> Artifact:
        """Trained on the earlier part of its window, stopped by the later one."""
        held: dict[str, CandidateLists] = {}

        def needs() -> Mapping[str, Any]:
            fits, held["valid"] = self._apart(stage)
            return {"features": self.feature_object, "candidate_lists": fits}

        start, _ = self.window(stage)
        source = Source(
            interactions=lambda: self.log.interactions(start, self.feature_object),
            inputs={"tables": self.tables, "features": self.features, "candidates": self.candidate_lists(stage)},
            window={"cut_us": start},
            needs=needs,
            validate=lambda scorer: value_of_ranker(scorer, held["valid"]),
        )
        return self._fit(stage, getattr(self.plan, stage).use, SCORERS[stage], source)

    def _apart(self, stage: str) -> tuple[CandidateLists, CandidateLists]:
        """What a scorer is trained on, and the newer lists that stop it."""
        lists = self.lists(stage)
        fits, stops = newest_apart(lists.requests, _HELD, self.plan.seed)
        return lists.take(fits), lists.take(stops)

    def _loaded(self, stage: str) -> Any:
        scorer = load_component(self.scorer(stage), SCORERS[stage], trusted(self.plan))
        return scorer.eval() if isinstance(scorer, nn.Module) else scorer

    def scoring(self, stage: str) -> Scoring:
        asked, calibrated = getattr(self.plan, stage), None
        if stage == "rank" and self.calibration is not None:
            calibrated = load_calibration(self.calibration)
        return Scoring(stage, asked.use, self._loaded(stage), asked.keep, calibrated)

    @cached_property
    def calibration(self) -> Artifact | None:
        """What makes the ranker's scores probabilities that hold, fitted on what stopped its training; None: not asked for."""
        asked = self.plan.rank
        if asked.calibrate is None:
            return None
        inputs = {"features": self.features, "candidates": self.candidate_lists("rank"), "rank": self.scorer("rank")}
        config = {"component": asked.calibrate, "by": asked.calibrate_by, "held": _HELD, "seed": self.plan.seed}
        return calibration(self.graph, config, inputs, lambda: self._loaded("rank"), lambda: self._apart("rank")[1])

    def _fit(self, stage: str, name: str, table: Mapping[str, str], source: Source) -> Artifact:
        where = f"{self.plan.where} [{stage}.{name}]"
        return fit(
            self.graph, stage, name, self.plan.of(stage, name), table, source,
            seed=self.plan.seed, where=where, trusted=trusted(self.plan),
        )  # fmt: skip

    @cached_property
    def generation(self) -> Artifact:
        """The set of artifacts that serve together, and the cut they know up to."""
        plan = self.plan
        retrievers = {f"retrieve.{name}": self.retriever(name, final=True) for name in plan.retrievers}
        scorers = {stage: self.scorer(stage) for stage in self.scoring_stages}
        more = {} if self.calibration is None else {"rank.calibration": self.calibration}
        inputs = {"tables": self.tables, "features": self.features, **scorers, **more, **retrievers}
        page = component_class(plan.page.use, PAGES, f"{plan.where} [page]", trusted(plan))
        settings = settings_of(page, plan.of("page", plan.page.use), f"{plan.where} [page.{plan.page.use}]")
        config = {
            "retrieve": as_dict(plan.retrieve), "prerank": as_dict(plan.prerank), "rank": as_dict(plan.rank),
            "page": {**as_dict(plan.page), "component": plan.page.use, "settings": as_dict(settings)},
            "cut_us": self.cuts.test_us,
        }  # fmt: skip

        def make(draft: Draft) -> None:
            (draft.path / "generation.json").write_text(json.dumps(config, indent=1))

        return self.graph.stage("generation", make, config=config, inputs=inputs, personal=True)

    def cascade(self) -> Cascade:
        """The generation, loaded."""
        generation, plan = self.generation, self.plan
        retrievers = {name: self.load_retriever(name, final=True) for name in plan.retrievers}
        page = generation.manifest.config["page"]
        kind = component_class(page["component"], PAGES, plan.where, trusted(plan))
        settings = settings_of(kind, page["settings"], plan.where)
        names, bags = category_bags(self.log)
        given: dict[str, Any] = {"categories": bags}
        if self.feature_object.item_vectors is not None:
            given["vectors"] = self.feature_object.item_vectors
        if getattr(settings, "rules", ()):
            where = f"{plan.where} [page.{plan.page.use}.rules]"
            given["rules"] = resolve(settings.rules, self.log.items, names, bags, where=where)
        return Cascade(
            {name: retrievers[name] for name in plan.retrieve.use},
            (plan.retrieve.fallback, retrievers[plan.retrieve.fallback]),
            [self.scoring(stage) for stage in self.scoring_stages],
            kind(settings, policy_id=generation.key, **given),
            k=plan.retrieve.k,
            slots=settings.slots,
            available=self.log.available(self.cuts.test_us),
            seen_items=plan.page.seen_items,
            features=self.feature_object,
            steering=self.steering,
        )

    @cached_property
    def steering(self) -> Steering | None:
        """None where items have no vectors, or the plan wants none."""
        vectors, weight = self.feature_object.item_vectors, self.plan.page.preference
        return None if vectors is None or not weight else Steering(vectors, weight)

    def _validate_retriever(self, retriever: Any) -> float:
        requests, answers = self._validation
        available = self.log.available(self.proposed_from_us)
        return ndcg_of_retriever(retriever, requests, answers, available, seen_items=self.plan.page.seen_items)

    @cached_property
    def _validation(self) -> tuple[Requests, History]:
        return self.requests(self.cuts.valid_us, self.proposed_from_us, _VALIDATED)
