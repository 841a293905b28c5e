"""A plan's retrievers, and what they read of texts and wishes. Each is fitted twice: for the scorers, and to serve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from headrace.artifacts.store import Artifact
from headrace.build.components import component_class, load_component
from headrace.build.fit import Source, fit
from headrace.cascade.foundation_section import NEED
from headrace.cascade.item_texts import item_texts, load_item_texts
from headrace.cascade.item_vectors import load_item_vectors
from headrace.cascade.logged import Logged
from headrace.cascade.mapped_foundation import check_same
from headrace.cascade.plan import trusted
from headrace.cascade.preferences import load_wishes, preferences
from headrace.cascade.semantic_ids import load_semantic_ids, semantic_ids
from headrace.cascade.summaries import load_summaries, summaries
from headrace.cascade.validation import ndcg_of_retriever
from headrace.contracts.requests import History, Requests
from headrace.encode.semantic_ids import QUANTISERS
from headrace.methods.retrieve import RETRIEVERS

_VALIDATED = 2000  # requests an early stop looks at


@dataclass
class Proposing(Logged):
    def retriever(self, name: str, *, final: bool) -> Artifact:
        """final: fitted on everything before the test window. Else on what comes before the window it proposes for: a learned
        one keeps the validation window out of its fit, to see when to stop, and the final fit trains as long."""
        cuts, epochs = self.cuts, None
        learned = hasattr(component_class(name, RETRIEVERS, "retrieve", trusted(self.plan)), "learn")
        if final and learned:
            epochs = self.retriever(name, final=False).manifest.metrics["epochs"]
        cut = cuts.test_us if final else cuts.valid_us if learned else self.proposed_from_us
        of_items = self.of_items(self.plan.needs_of(name), name, cut)
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

    def of_items(self, needs: set[str], name: str, cut_us: int) -> dict[str, tuple[Artifact, Callable[[Artifact], Any]]]:
        """What a component, by its name, reads of items' texts and users' wishes: its key hangs on nothing it never sees."""
        found = dict[str, tuple[Artifact, Callable[[Artifact], Any]]]()
        if "semantic_ids" in needs:
            found["semantic_ids"] = self.semantic_ids(cut_us), load_semantic_ids
        if "item_vectors" in needs:
            found["item_vectors"] = self.need_item_vectors(name), load_item_vectors
        if "item_texts" in needs:
            found["item_texts"] = item_texts(self.graph, self.tables, self.log, self.proposed_from_us), load_item_texts
        if "preferences" in needs:
            vectors = self.need_item_vectors(name)
            found["preferences"] = (
                preferences(self.graph, self.tables, self.log, vectors, cut_us, self.plan.preferences),
                load_wishes,
            )
        if NEED in needs:
            found[NEED] = self.need_foundation(name), lambda _: self.feature_object.foundation
        if "summaries" in needs:
            found["summaries"] = self.summaries(cut_us), load_summaries
        return found

    def summaries(self, cut_us: int) -> Artifact:
        """Of each user a sentence, as [summaries] says, of what came before the cut."""
        return summaries(self.graph, self.tables, self.log, cut_us, self.plan.summaries, self._steps)

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
        return self._checked(load_component(self.retriever(name, final=final), RETRIEVERS, trusted(self.plan)), name)

    def _checked(self, component: Any, name: str) -> Any:
        """With the upstream that it was trained with."""
        if hasattr(component, "foundation_schema"):  # others need no features to be loaded
            check_same(component, self.feature_object.foundation, f"{self.plan.where}, {name}")
        return component

    def _fit(self, stage: str, name: str, table: Mapping[str, str], source: Source) -> Artifact:
        where = f"{self.plan.where} [{stage}.{name}]"
        return fit(
            self.graph, stage, name, self.plan.of(stage, name), table, source,
            seed=self.plan.seed, where=where, trusted=trusted(self.plan),
        )  # fmt: skip

    def _validate_retriever(self, retriever: Any) -> float:
        requests, answers = self._validation
        available = self.log.available(self.proposed_from_us)
        return ndcg_of_retriever(retriever, requests, answers, available, seen_items=self.plan.page.seen_items)

    @cached_property
    def _validation(self) -> tuple[Requests, History]:
        return self.requests(self.cuts.valid_us, self.proposed_from_us, _VALIDATED)
