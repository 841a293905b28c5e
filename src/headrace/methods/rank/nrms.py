"""NRMS: self-attention over an item's tokens, then over the items a user chose, each pooled to one vector by additive attention.

    h = heads over the token states,       item_i = additive attention over h            [d']
    g = heads over the items chosen,       user_u = additive attention over g            [d']
    logit = user_u · item_i  [+ what stands beside the text]

Shapes: states [N, T, D] -> items [N, 1, d']; chosen [R, H, d'] -> side [R, 1, d']. Cost: a candidate O(d'); a user
O(H² d' + H d'²), and no reading: chosen items are looked up as candidates are.
Use it as the plain neural ranker of texts, and where many users are made anew often. It loses where a user has several interests,
all of which one vector must hold; `spar` keeps several of the tokens themselves. With `reader.layers = 0` it reads embeddings
alone, as it was published. Siblings: `naml` (views), `mean_text` (nothing learned but a map).
Paper: Wu et al., EMNLP 2019. Our reading: docs/papers/nrms.md.
"""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import State
from headrace.encode.reading.additive import AdditiveAttention
from headrace.encode.reading.text_scorer import TextConfig, TextScorer


@config
class NRMSConfig(TextConfig):
    heads: Annotated[int, Gt(0)] = 4
    """Of either self-attention; together they are side_dim wide."""
    attention_hidden: Annotated[int, Gt(0)] = 32
    vectors: Annotated[int, Gt(0)] = 1
    """An item is one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vectors != 1:
            raise ConfigError(f"nrms: vectors = {self.vectors}, and an item is one. Leave it out, or take spar.")
        if self.side_dim % self.heads:
            raise ConfigError(f"nrms: side_dim = {self.side_dim} is not a multiple of heads = {self.heads}. Change one of them.")


class SelfAttention(nn.Module):
    """softmax(q_h k_h / sqrt(d_h)) v_h, heads side by side: x [.., L, dim], there [.., L] -> [.., L, out]."""

    def __init__(self, dim: int, out: int, heads: int):
        super().__init__()
        self.heads, self.each = heads, out // heads
        self.qkv = nn.Linear(dim, 3 * out)
        for part in self.qkv.weight.detach().chunk(3):  # so that what comes out is as large as what came in
            nn.init.xavier_uniform_(part)
        nn.init.zeros_(self.qkv.bias)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        split = (one.unflatten(-1, (self.heads, self.each)).transpose(-3, -2) for one in self.qkv(x).chunk(3, -1))
        q, k, v = split  # [.., h, L, d]
        logits = (q @ k.transpose(-2, -1)) * self.each**-0.5
        unseen = ~there.unsqueeze(-2).unsqueeze(-2)
        # the lowest number, not -inf: where nothing is there, what comes out means nothing and is a number
        weights = logits.masked_fill(unseen, torch.finfo(logits.dtype).min).softmax(-1)
        found: Tensor = (weights @ v).transpose(-3, -2).flatten(-2)
        return found


class NRMS(TextScorer):
    """A learned `Scorer`. needs: the fitted features, the candidate lists and the items' texts."""

    Config = NRMSConfig
    revision = 1
    config: NRMSConfig

    def _layers(self) -> None:
        of, dim = self.config, self.reader.dim
        self.of_tokens = SelfAttention(dim, of.side_dim, of.heads)
        self.pool_tokens = AdditiveAttention(of.side_dim, of.attention_hidden)
        self.of_items = SelfAttention(of.side_dim, of.side_dim, of.heads)
        self.pool_items = AdditiveAttention(of.side_dim, of.attention_hidden)

    def _pooled(self, states: Tensor, there: Tensor) -> Tensor:
        found: Tensor = self.pool_tokens(self.of_tokens(states, there), there)
        return found.unsqueeze(1)

    def _user_side(self, batch: Batch) -> State:
        chosen = self.items(self.known(batch["history"])).squeeze(2)
        there = (chosen != 0).any(-1)
        return {"side": self.pool_items(self.of_items(chosen, there), there).unsqueeze(1)}
