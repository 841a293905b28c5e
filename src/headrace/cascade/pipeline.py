"""A plan worked through: import → features → retrievers → candidates → pre-ranker → ranker → refit → a generation.

Cuts are nested (see data.splits): retrievers are first fitted up to the first scorer's window and propose for it and the next,
so a scorer learns from what the stages before it make of a later time than they have seen; then the retrievers are fitted again,
up to the test window, and the scorers are kept.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import component_class, load_component, settings_of
from headrace.build.fit import Source
from headrace.cascade.calibrating import calibration, load_calibration
from headrace.cascade.cascade import Cascade
from headrace.cascade.categories import category_bags
from headrace.cascade.feature_importance import Importance, importances
from headrace.cascade.join import stacked
from headrace.cascade.labelling import labels_of_stage
from headrace.cascade.plan import trusted
from headrace.cascade.proposing import Proposing
from headrace.cascade.pseudo_labels import with_labels
from headrace.cascade.pseudo_section import asked_of
from headrace.cascade.scoring import Scoring, propose, score, with_pairs
from headrace.cascade.shown import Impressions, need_positives, proposed_share
from headrace.cascade.steering import Steering
from headrace.cascade.validation import newest_apart, recall_of, value_of_ranker
from headrace.contracts.config import as_dict
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Requests
from headrace.methods.page import PAGES
from headrace.methods.page.explore.rules import resolve
from headrace.methods.prerank import PRERANKERS
from headrace.methods.rank import RANKERS

_AT_ONCE = 512
_HELD = 0.15  # share of a scorer's window that stops its training

SCORERS = {"prerank": PRERANKERS, "rank": RANKERS}


@dataclass
class Pipeline(Proposing):
    """Stages are worked out when asked for, and found again in the store. One object is one plan."""

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
        tasks = self.plan.tasks_of(stage)
        if len(tasks) == 1:
            config["task"] = as_dict(next(iter(tasks.values())))
        elif tasks:
            config["tasks"] = [[name, as_dict(task)] for name, task in tasks.items()]

        def make(draft: Draft) -> None:
            retrievers = {name: self.load_retriever(name, final=False) for name in self.plan.retrieve.use}
            scorings = [self.scoring(one) for one in before]

            def proposing(part: Requests, shown: Candidates | None = None) -> Candidates:
                return propose(retrievers, part, self.plan.retrieve.k, self.allowed(part, start), shown)

            def progress(done: int, of: int) -> None:
                self.graph.progress(f"candidates to {stage}", done, of)

            if not tasks:
                requests, answers = self.requests(start, end, most)
                found = []
                for rows, part in requests.chunks(_AT_ONCE):
                    found.append(score(scorings, part, with_pairs(self.feature_object, part, proposing(part))))
                    progress(rows.stop, len(requests))
                lists = CandidateLists.of(requests, stacked(found), answers)
                draft.metrics = {"requests": len(requests), "recall": recall_of(lists.candidates, requests, answers)}
            else:
                shown = Impressions.between(self.tables.path, self.log, tasks, start, end, most)
                need_positives(shown, tasks, f"{self.plan.where} [{stage}]")
                requests = self.requests_of(shown.users, shown.at_us)
                lists = shown.lists(requests, proposing, scorings, self.feature_object, progress)
                recall = proposed_share(lists, self.plan.retrieve.use)
                draft.metrics = {"requests": len(requests), "recall": recall, **shown.counts}
                draft.metrics |= {"tasks": shown.of_tasks} if shown.of_tasks else {}
            save_arrays(draft.path / "lists.safetensors", {
                "users": requests.users, "at_us": requests.at_us, "items": lists.candidates.items, "label": lists.label,
                **({} if lists.known is None else {"known": lists.known}),
                **{f"task.{name}": label for name, label in lists.tasks.items()},
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
        asked = self.plan.tasks_of(stage)
        tasks = {name: arrays[f"task.{name}"] for name in asked} if len(asked) > 1 else {}
        return CandidateLists(requests, with_features, arrays["label"], arrays.get("known"), tasks)

    def scorer(self, stage: str) -> Artifact:
        """Trained on the earlier part of its window, with what a labeler says of it if one is asked, stopped by the later one."""
        source, labels = self._source(stage), self.pseudo_labels(stage)
        if labels is not None:
            source = with_labels(source, labels)
        return self._fit(stage, getattr(self.plan, stage).use, SCORERS[stage], source)

    def pseudo_labels(self, stage: str) -> Artifact | None:
        """Of the candidates that nobody saw; None: the plan asks for none."""
        if getattr(self.plan, stage).pseudo is None:
            return None
        return labels_of_stage(self, stage, self._source(stage, "rank"), lambda: self._apart(stage), _HELD)

    def _source(self, stage: str, table: str = "") -> Source:
        """What the stage's scorer is fitted on; table: what that of another stage would be, on the lists of this one."""
        held: dict[str, CandidateLists] = {}
        (start, _), whose = self.window(stage), table or stage
        use = getattr(self.plan, whose).use
        of_items = self.of_items(self.plan.needs_of(use, whose), use, start)

        def needs() -> Mapping[str, Any]:
            fits, held["valid"] = self._apart(stage)
            read = {need: load(made) for need, (made, load) in of_items.items()}
            return {"features": self.feature_object, "candidate_lists": fits, **read}

        made = {need: artifact for need, (artifact, _) in of_items.items()}
        return Source(
            interactions=lambda: self.log.interactions(start, self.feature_object),
            inputs={"tables": self.tables, "features": self.features, "candidates": self.candidate_lists(stage), **made},
            window={"cut_us": start},
            needs=needs,
            validate=lambda scorer: value_of_ranker(scorer, held["valid"]),
        )

    def _apart(self, stage: str) -> tuple[CandidateLists, CandidateLists]:
        """What a scorer is trained on, and the newer lists that stop it."""
        lists = self.lists(stage)
        fits, stops = newest_apart(lists.requests, _HELD, self.plan.seed)
        return lists.take(fits), lists.take(stops)

    def stopping(self, stage: str) -> CandidateLists:
        """The lists that stopped a scorer's training."""
        return self._apart(stage)[1]

    def _loaded(self, stage: str) -> Any:
        scorer = self._checked(load_component(self.scorer(stage), SCORERS[stage], trusted(self.plan)), stage)
        return scorer.eval() if isinstance(scorer, nn.Module) else scorer

    def importances(self, stage: str) -> dict[str, Importance]:
        """Of what a stage's scorer reads, on the lists that stopped its training."""
        task = next(iter(self.plan.tasks_of(stage)), None)
        return importances(self._loaded(stage), self._apart(stage)[1], seed=self.plan.seed, task=task)

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

    @cached_property
    def generation(self) -> Artifact:
        """The set of artifacts that serve together, and the cut they know up to."""
        plan = self.plan
        retrievers = {f"retrieve.{name}": self.retriever(name, final=True) for name in plan.retrievers}
        scorers = {stage: self.scorer(stage) for stage in self.scoring_stages}
        more = {} if self.calibration is None else {"rank.calibration": self.calibration}
        more |= {} if self.foundation is None else {"foundation": self.foundation}
        inputs = {"tables": self.tables, "features": self.features, **scorers, **more, **retrievers}
        page = component_class(plan.page.use, PAGES, f"{plan.where} [page]", trusted(plan))
        settings = settings_of(page, plan.of("page", plan.page.use), f"{plan.where} [page.{plan.page.use}]")
        config = {
            "retrieve": as_dict(plan.retrieve), "prerank": asked_of(plan.prerank), "rank": asked_of(plan.rank),
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
