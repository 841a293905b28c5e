"""Mean text: an item is the mean of its token states, a user the mean of the items they chose, or of those a candidate is like.

    e_i   = W · mean over i's tokens of the states, at length 1                          [d']
    mean:       logit = s · e_i · mean of e_t over the newest K chosen
    attention:  logit = s · sum over t of softmax over t of (f · e_i · e_t)  e_i · e_t
    [+ what stands beside the text];    s, f learned

Shapes: items [N, 1, d']; side [R, 1, d'], with attention [R, K, d']. Cost: a candidate O(d'), with attention O(K d'); no reading.
With `map = false` nothing of an item is learned but by the reader, and with a frozen MiniLM it is the mean-pooled sentence vector
that search engines are built on. Use it as the baseline that a learned user side must beat, and where few choices are logged:
there is little to learn. It loses where tokens matter unequally, and, with "mean", where a user has several interests.
Siblings: `nrms`, `naml`, `spar`: the same table, reader and training, with more learned on either side.
Our reading: docs/papers/mean_text.md.
"""

from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import normalize

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import State
from headrace.encode.reading.text_scorer import TextConfig, TextScorer
from headrace.nn.pooling import mean_over

_SCALE = 10.0


@config
class MeanTextConfig(TextConfig):
    pool: Literal["mean", "attention"] = "mean"
    """attention: a candidate weighs the newest `history` items by how like it they are."""
    map: bool = True
    """A learned linear map to side_dim. Without, vectors are the reader's, and side_dim is its width (384 of minilm)."""
    vectors: Annotated[int, Gt(0)] = 1
    """An item is one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vectors != 1:
            raise ConfigError(f"mean_text: vectors = {self.vectors}, and an item is one. Leave it out, or take spar.")


class MeanText(TextScorer):
    """A learned `Scorer`. needs: the fitted features, the candidate lists and the items' texts."""

    Config = MeanTextConfig
    revision = 1
    config: MeanTextConfig

    def _layers(self) -> None:
        of, dim = self.config, self.reader.dim
        if not of.map and of.side_dim != dim:
            raise ConfigError(
                f"mean_text: map = false and side_dim = {of.side_dim}; the reader is {dim} wide. Set side_dim = {dim}."
            )
        self.to_side = nn.Linear(dim, of.side_dim, bias=False) if of.map else nn.Identity()
        self.scale = nn.Parameter(torch.tensor(_SCALE))
        self.focus = nn.Parameter(torch.tensor(_SCALE)) if of.pool == "attention" else None

    def _pooled(self, states: Tensor, there: Tensor) -> Tensor:
        return normalize(self.to_side(mean_over(states, there)), dim=-1).unsqueeze(1)

    def _user_side(self, batch: Batch) -> State:
        chosen = self.items(self.known(batch["history"])).squeeze(2)
        return {"side": chosen if self.focus is not None else mean_over(chosen, (chosen != 0).any(-1)).unsqueeze(1)}

    def _relevance(self, side: Tensor, items: Tensor) -> Tensor:
        like = items.squeeze(2) @ side.transpose(1, 2)  # [R, C, m]
        if self.focus is None:
            return self.scale * like.squeeze(2)
        there = (side != 0).any(-1).unsqueeze(1)
        weights = (self.focus * like).masked_fill(~there, torch.finfo(like.dtype).min).softmax(-1) * there
        return self.scale * (weights * like).sum(-1)
