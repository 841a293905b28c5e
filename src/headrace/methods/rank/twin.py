"""TWIN: a long history is searched by the very score that the attention then weighs events with.

    score_t = (W_Q q) · (W_K v_t) over all heads,     found = the k events of largest score,
    read = softmax of each head's part of it over found, times W_V v_t

v_t = the map of an event's item + age(t). W_K is linear, so W_K v_t = W_K map(item) + W_K age(t): keys of the catalogue's items
and of the age's buckets can be worked out once a model, and the second is the bias that an event's own circumstances add.
Shapes: found [R, C, k], score [R, C]. Cost a candidate: search O(T D), O(k D) of attention; the same order as attention over all,
without its softmax, values and gradients over T. State: 8 T D bytes a user, nothing for the search beside the attention's keys.
With one head what is left out is what the attention would have weighed least; with k >= T it is attention over all (both tested).
With several heads the search goes by their sum, so that one head's favourite may be missed.
Use it where a candidate should find what the ranker thinks it has to do with. At the start the score knows nothing, and only what
is found is learned from: where few events of many matter, some seeds never find them (docs/papers/twin.md), and `sim`'s category
or `eta`'s likeness is the safer guide.
Siblings: `sim` and `eta` search by likeness of embeddings. Paper: Chang et al., KDD 2023. Our reading: docs/papers/twin.md.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, State
from headrace.nn.search import Found, largest
from headrace.nn.search_scorer import SearchScorer
from headrace.objectives.choice import learned_choice
from headrace.objectives.long_choice import LongConfig


@config
class TWINConfig(LongConfig):
    pass


class TWIN(SearchScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = TWINConfig
    revision = 1
    config: TWINConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def _found(self, state: State, target: Tensor, items: Tensor) -> Found:
        # events of one score have one item and age, hence one key and value: it has no say which of them are found
        return largest(self.attend.queries(target) @ state["keys"].transpose(1, 2), state["there"], self.config.kept)
