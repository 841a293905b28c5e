"""A user's summary in words as a second thing to learn, beside what they choose: one forward, two losses.

    loss = choice + λ summary,      summary = mean over users who have one of  -sum_t log P(y_t | y_<t, user)

Shapes: states [R, T, d] of a decoder that was given the words, words [V, d], summary [R, T], 0 where there is no token. Rows
without any have no say: neither in the mean nor in its count. λ is a weight outside (`Learned.weights`), or a balancer's.
Cost O(P V d) for the batch's P tokens beside the model's pass; the [P, V] logits are never whole in memory.
Use it where users have texts that say what they are about, and few choices: words say at once what choices show one by one. The
sum over tokens is the paper's: of summaries twice as long λ counts twice.
Paper: EmbSum (arXiv 2405.11441), its joint loss. Our reading: docs/papers/embsum.md.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Objective, Services, State
from headrace.data.summarised import SUMMARY
from headrace.objectives.softmax import softmax_of_products


def summary_loss(states: Tensor, words: Tensor, summary: Tensor) -> Tensor:
    there = summary > 0
    mean = softmax_of_products(states[there], words, summary[there])
    return mean * there.sum() / there.any(1).sum().clamp(min=1)


class WithSummary:
    """base: an objective on a scorer's logits that asks `user` once, as those of candidate lists do.

    model: a scorer whose state holds "summary" [R, T, d] while it is trained, and that has `words() -> [V, d]`.
    """

    def __init__(self, base: Objective):
        self.base = base

    def counts(self, batch: Batch) -> Mapping[str, float]:
        counts: Mapping[str, float] = self.base.counts(batch)  # type: ignore[attr-defined]
        return {**counts, SUMMARY: float((batch[SUMMARY] > 0).any(1).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        state = model.user(batch)
        losses = self.base(_Asked(model, state), batch, services)
        states = state[SUMMARY]  # of the batch's longest summary
        mean = summary_loss(states, model.words(), batch[SUMMARY][:, : states.shape[1]])
        return {**losses, SUMMARY: Loss(mean, self.counts(batch)[SUMMARY])}


class _Asked:
    """A scorer whose user side has been worked out."""

    def __init__(self, scorer: Any, state: State):
        self.scorer, self.state = scorer, state

    def user(self, batch: Batch) -> State:
        return self.state

    def score(self, state: State, candidates: Batch) -> Any:
        return self.scorer.score(state, candidates)
