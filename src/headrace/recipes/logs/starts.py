"""A baseline for readers of films' words: a film is its first token's state, a user the mean of the films they read.

    item_i = W_b s_i,   user_u = mean of W_a s_j over the newest films j,   logit = user_u · item_i     s: the state of <sos>

Shapes: states [N, T, D] -> items [N, 1, d'], side [R, 1, d']. Cost O(d') a candidate. A two-tower of the reader alone: what
SPAR's codes over tokens and their weighing have to beat.
"""

from typing import Any

import torch
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.seams import State
from headrace.encode.reading.text_scorer import TextConfig, TextScorer
from headrace.nn.pooling import mean_over


class MeanOfStarts(TextScorer):
    """A learned `Scorer`. `vectors` is 1."""

    Config = TextConfig
    revision = 1
    config: Any

    def _layers(self) -> None:
        self.out_user, self.out_item = (nn.Linear(self.reader.dim, self.config.side_dim, bias=False) for _ in range(2))

    def _pooled(self, states: Tensor, there: Tensor) -> Tensor:
        found: Tensor = self.out_item(states[:, :1])
        return found

    def _user_side(self, batch: Batch) -> State:
        items = self.known(batch["history"])
        tokens = self.tokens[items].long()
        different, place = torch.unique(items, return_inverse=True)
        ids = self.tokens[different].long()
        starts = self.reader.states(ids, ids > 0)[:, 0][place]
        return {"side": self.out_user(mean_over(starts, (tokens > 0).any(-1))).unsqueeze(1)}
