"""A list scorer whose user is pooled once: what every ranker without attention joins of a request and a candidate.

    taste, liked = means over the newest history of item embeddings, and of items' features
    x_0 = [user, taste, liked, item, features, item * taste, features * liked, popularity, what retrievers said, pair]

Shapes: user side [R, ..] once, candidates [R, C, D]. Cost O(T) embeddings a request, O(D) a candidate.
"""

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import State
from headrace.nn.fields import FieldEmbeddings
from headrace.nn.list_scorer import ListScorer
from headrace.nn.pooling import mean_over


class PooledScorer(ListScorer):
    """A subclass's `_make` sets `fields`."""

    fields: FieldEmbeddings

    def user(self, batch: Batch) -> State:
        past = self.fields.known(batch["history"])
        return {
            "features": self.fields.user(batch),
            "taste": mean_over(self.fields.items(past), past > 0),
            "liked": mean_over(self.fields.item(past), past > 0),
        }

    def joined(self, state: State, candidates: Batch) -> Tensor:
        """x_0, [R, C, D]."""
        items = self.fields.known(candidates["items"])
        rows, width = items.shape
        item, features = self.fields.items(items), self.fields.item(items)
        taste, liked = state["taste"].unsqueeze(1), state["liked"].unsqueeze(1)
        user = torch.cat([state["features"].unsqueeze(1), taste, liked], -1).expand(rows, width, -1)
        known = [item * taste, features * liked, self.fields.popular(items), candidates["retrieval"]]
        return torch.cat([user, item, features, *known, self.fields.pair(candidates)], -1)

    def joined_width(self, stages: int) -> int:
        fields = self.fields
        return fields.user_width + 3 * (fields.items.embedding_dim + fields.item_width) + 1 + 3 * stages + fields.pair_width
