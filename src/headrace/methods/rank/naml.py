"""NAML: an item as the views one has of it, its text and its categories, weighed against each other; a user as what they chose.

    text_i  = W · additive attention over the token states,       kind_ij = relu(W E[category j of i])
    item_i  = additive attention over the views text_i, kind_i1, kind_i2, ..             [d']
    user_u  = additive attention over the items chosen                                   [d']
    logit   = user_u · item_i  [+ what stands beside the text]

Shapes: states [N, T, D], categories [N, L] -> items [N, 1, d']; chosen [R, H, d'] -> side [R, 1, d']. Cost: a candidate O(d'); a
user O(H d' hidden), and no reading: chosen items are looked up as candidates are. An item without a text is its categories.
Use it where categories say what a short text leaves open. It loses where they are words of the text already, as in texts made by
`item_texts`: then a view says what another said. In plans without `category` among [features] it has one view, the text.
Siblings: `nrms` (items chosen attend to each other), `mean_text`.
Paper: Wu et al., IJCAI 2019, adapted: the reader stands in the place of its convolutions, title and body are one view.
Our reading: docs/papers/naml.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import State
from headrace.encode.reading.additive import AdditiveAttention
from headrace.encode.reading.text_scorer import TextConfig, TextScorer


@config
class NAMLConfig(TextConfig):
    category: str = "item.categories"
    """A feature of items, of one code or several; each code is a view. Where the plan has none of the name, text is all."""
    category_dim: Annotated[int, Gt(0)] = 16
    attention_hidden: Annotated[int, Gt(0)] = 32
    vectors: Annotated[int, Gt(0)] = 1
    """An item is one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vectors != 1:
            raise ConfigError(f"naml: vectors = {self.vectors}, and an item is one. Leave it out, or take spar.")


class NAML(TextScorer):
    """A learned `Scorer`. needs: the fitted features, the candidate lists and the items' texts."""

    Config = NAMLConfig
    revision = 1
    config: NAMLConfig
    more_categories: Tensor
    """[n_items, L]: codes, 0 for none; L is 0 where there is no such view."""

    def _more(self, interactions: Interactions) -> Mapping[str, NDArray[Any]]:
        codes = interactions.features.get(self.config.category, np.zeros((interactions.n_items, 0), np.int32))
        return {"categories": codes.reshape(interactions.n_items, -1)}

    def _layers(self) -> None:
        of = self.config
        self.pool_tokens = AdditiveAttention(self.reader.dim, of.attention_hidden)
        self.from_text = nn.Linear(self.reader.dim, of.side_dim)
        self.pool_views, self.pool_items = (AdditiveAttention(of.side_dim, of.attention_hidden) for _ in range(2))
        self.kinds: nn.Embedding | None = None
        if self.more_categories.shape[1]:
            self.kinds = nn.Embedding(int(self.more_categories.max()) + 1, of.category_dim)
            self.from_kind = nn.Linear(of.category_dim, of.side_dim)

    def _pooled(self, states: Tensor, there: Tensor) -> Tensor:
        found: Tensor = self.from_text(self.pool_tokens(states, there))
        return found.unsqueeze(1)

    def _joined(self, text: Tensor, said: Tensor, items: Tensor) -> Tensor:
        if self.kinds is None:
            return super()._joined(text, said, items)
        codes = self.more_categories[items].long()
        views = torch.cat([text, self.from_kind(self.kinds(codes)).relu()], 1)
        found: Tensor = self.pool_views(views, torch.cat([said.unsqueeze(1), codes > 0], 1))
        return found.unsqueeze(1)

    def _user_side(self, batch: Batch) -> State:
        chosen = self.items(self.known(batch["history"])).squeeze(2)
        return {"side": self.pool_items(chosen, (chosen != 0).any(-1)).unsqueeze(1)}
