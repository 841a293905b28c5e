"""Two towers: a user and an item each as one vector, so that a score is their product and the item side can be worked out before.

    user = MLP([user features, mean over the newest history of item embeddings and item features])
    item = MLP([item embedding, item features, log popularity])

Shapes: user [R, d], item [.., d]. Cost O(d²) a user and an item; in evaluation mode all items' vectors are kept, [n_items, d].
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from headrace.contracts.batch import Batch
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.pooling import mean_over


class Towers(nn.Module):
    """unit: vectors of length 1, so that products are cosines."""

    def __init__(
        self, shapes: FieldShapes, *, item_dim: int, feature_dim: int, hidden: int, dim: int, dropout: float, unit: bool = False
    ):
        super().__init__()
        self.unit = unit
        self.fields = FieldEmbeddings(shapes, item_dim, feature_dim)
        both = item_dim + self.fields.item_width
        self.user_tower = _tower(self.fields.user_width + both, hidden, dim, dropout)
        self.item_tower = _tower(both + 1, hidden, dim, dropout)
        self.register_buffer("kept", torch.empty(0, dim), persistent=False)
        self.kept: Tensor
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def user(self, batch: Batch) -> Tensor:
        """[R, d]."""
        past = self.fields.known(batch["history"])
        taste = mean_over(torch.cat([self.fields.items(past), self.fields.item(past)], -1), past > 0)
        return self._scaled(self.user_tower(torch.cat([self.fields.user(batch), taste], -1)))

    def item(self, items: Tensor) -> Tensor:
        """[..] -> [.., d]."""
        items = self.fields.known(items)
        popularity = self.fields.popular(items)
        return self._scaled(self.item_tower(torch.cat([self.fields.items(items), self.fields.item(items), popularity], -1)))

    def vectors(self) -> Tensor:
        """[n_items, d], as the weights stand; kept until they are trained on or loaded anew."""
        if self.training:
            return self.item(torch.arange(self.fields.n_items, device=self.fields.popularity.device))
        if not len(self.kept):
            with torch.inference_mode(False), torch.no_grad():
                self.kept = self.item(torch.arange(self.fields.n_items, device=self.fields.popularity.device))
        return self.kept

    def train(self, mode: bool = True) -> "Towers":
        if mode:
            _forget(self)
        super().train(mode)
        return self

    def _scaled(self, vectors: Tensor) -> Tensor:
        return normalize(vectors, dim=-1) if self.unit else vectors


def _forget(towers: Towers, *_: Any) -> None:
    towers.kept = towers.kept[:0]


def _tower(width: int, hidden: int, dim: int, dropout: float) -> nn.Sequential:
    # Fields differ much in scale, and embeddings start small.
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, dim))
