"""The stages as one policy: retrieve → rank → page, each answer a pure function of (generation, request, seed)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from headrace.cascade.join import join
from headrace.contracts.requests import Allowed, Bool, Candidates, Float64, Requests, Slates
from headrace.contracts.seams import Policy, Retriever
from headrace.data.rank_inputs import candidate_batch, user_batch

_ROWS_AT_ONCE = 256  # a retriever scores [rows, catalogue], the ranker [rows, candidates, width]


class Cascade:
    """retrievers: those whose proposals are joined, in the order the ranker knows. fallback: (name, retriever).

    It finds its own candidates, so it is asked with None. seen_items: whether what a user had before may come again.
    """

    def __init__(
        self,
        retrievers: Mapping[str, Retriever],
        fallback: tuple[str, Retriever],
        ranker: Any,
        page: Policy,
        *,
        k: int,
        slots: int,
        available: Bool,
        seen_items: bool,
    ):
        self.retrievers, self.fallback, self.ranker, self.page = retrievers, fallback, ranker, page
        self.k, self.slots, self.available, self.seen_items = k, slots, available, seen_items

    @property
    def policy_id(self) -> str:
        return self.page.policy_id

    @property
    def deterministic(self) -> bool:
        return self.page.deterministic

    def recall(self, requests: Requests) -> Candidates:
        """All retrievers' proposals, joined. Where they leave a page short, the fallback's too, under the name "fallback"."""
        allowed = self.allowed(requests)
        found = join({name: retriever.retrieve(requests, self.k, allowed) for name, retriever in self.retrievers.items()})
        short = found.there.sum(1) < self.slots
        if not short.any():
            return found
        more = self.fallback[1].retrieve(requests, self.k, allowed)
        hidden = Candidates(np.where(short[:, None], more.items, 0), more.scores)
        alone = {name: Candidates(np.where(np.isnan(s), 0, found.items), {name: s}) for name, s in found.scores.items()}
        return join({**alone, "fallback": hidden})

    def allowed(self, requests: Requests) -> Allowed:
        return Allowed(self.available, None if self.seen_items else requests.history)

    def rank(self, requests: Requests, candidates: Candidates) -> Candidates:
        """With a last score, "rank", and in its order."""
        with torch.inference_mode():
            self.ranker.eval()
            state = self.ranker.user(user_batch(requests, self.ranker.schema))
            outputs = self.ranker.score(state, candidate_batch(candidates, list(self.retrievers)))
        logits = next(iter(outputs.logits.values())).numpy()
        scores = np.where(candidates.there, logits, np.nan).astype(np.float32)
        return Candidates(candidates.items, {**candidates.scores, "rank": scores}).top("rank", candidates.items.shape[1])

    def candidates(self, requests: Requests) -> Candidates:
        """Recalled and ranked, best first."""
        return self.rank(requests, self.recall(requests))

    def act(self, requests: Requests, candidates: Candidates | None = None, *, seed: int) -> Slates:
        parts = [self.page.act(part, candidates.take(rows) if candidates else self.candidates(part), seed=seed)
                 for rows, part in requests.chunks(_ROWS_AT_ONCE)]  # fmt: skip
        items, logs = (np.concatenate([getattr(part, name) for part in parts]) for name in ("items", "log_prob"))
        return Slates(items, logs, self.policy_id, self.deterministic)

    def log_prob(self, requests: Requests, slates: Slates, candidates: Candidates | None = None) -> Float64:
        return np.concatenate(
            [
                self.page.log_prob(part, slates.take(rows), candidates.take(rows) if candidates else self.candidates(part))
                for rows, part in requests.chunks(_ROWS_AT_ONCE)
            ]
        )
