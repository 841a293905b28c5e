"""The embedding layer of a model over feature codes: one table an item, one a feature, the item's own codes kept beside them.

Users' codes come with each request; items' codes are static, so they are buffers that are looked up by item number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch, Field, Schema
from headrace.contracts.interactions import Interactions
from headrace.nn.pooling import mean_over


@dataclass(frozen=True)
class FieldShapes:
    """users: feature -> number of codes. items: feature -> number of codes and the shape of the catalogue's codes."""

    n_items: int
    users: Mapping[str, int]
    items: Mapping[str, tuple[int, tuple[int, ...]]]

    @classmethod
    def of(cls, interactions: Interactions, user_names: Iterable[str], sizes: Mapping[str, int]) -> "FieldShapes":
        items = {name: (sizes[name], codes.shape) for name, codes in interactions.features.items()}
        return cls(interactions.n_items, {name: sizes[name] for name in user_names}, items)

    @classmethod
    def stored(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> "FieldShapes":
        """As they were when a module's arrays were put down. prefix: the module's name with its dot."""

        def sizes(tables: str) -> dict[str, int]:
            found = (name.removeprefix(tables) for name in arrays if name.startswith(tables))
            return {_outside(name.removesuffix(".weight")): len(arrays[tables + name]) for name in found}

        items = sizes(f"{prefix}item_tables.")
        shapes = {name: (size, arrays[prefix + _inside(name)].shape) for name, size in items.items()}
        return cls(len(arrays[f"{prefix}items.weight"]), sizes(f"{prefix}user_tables."), shapes)


class FieldEmbeddings(nn.Module):
    """user_width, item_width: of a user's and of an item's embedded features, all joined in the order of their names."""

    def __init__(self, shapes: FieldShapes, item_dim: int, feature_dim: int):
        super().__init__()
        # In the order of their names: a file holds them in an order of its own, and they are joined in this one.
        users, items = sorted(shapes.users.items()), sorted(shapes.items.items())
        self.items = nn.Embedding(shapes.n_items, item_dim, padding_idx=0)
        self.user_tables = nn.ModuleDict({_inside(name): nn.Embedding(size, feature_dim) for name, size in users})
        self.item_tables = nn.ModuleDict(
            {_inside(name): nn.Embedding(size, feature_dim, padding_idx=0) for name, (size, _) in items}
        )
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.05)
        for padded in (self.items.weight, *self.item_tables.parameters()):
            nn.init.zeros_(padded[0])
        for name, (_, shape) in items:
            self.register_buffer(_inside(name), torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("popularity", torch.zeros(shapes.n_items))
        self.popularity: Tensor
        self.user_names = [name for name, _ in users]
        self.user_width, self.item_width = feature_dim * len(users), feature_dim * len(items)

    def fill(self, interactions: Interactions) -> None:
        """Each item's codes and its log popularity, standardised over the catalogue."""
        for name, codes in interactions.features.items():
            self.get_buffer(_inside(name)).copy_(torch.from_numpy(codes))
        self.popularity.copy_(torch.from_numpy(log_popularity(interactions)))

    def schema(self, history: int) -> Schema:
        """What `user` and a history of so many items are read from."""
        users = {name: Field("int64", ("rows",)) for name in self.user_names}
        return {"history": Field("int64", ("rows", history)), **users}

    def known(self, items: Tensor) -> Tensor:
        """An item of a catalogue that has grown since is unknown."""
        return items.masked_fill(items >= self.items.num_embeddings, 0)

    def user(self, batch: Batch) -> Tensor:
        """[rows, user_width]."""
        found = [table(batch[_outside(name)]) for name, table in self.user_tables.items()]
        return torch.cat(found, -1) if found else self.popularity.new_zeros((len(batch["history"]), 0))

    def item(self, items: Tensor) -> Tensor:
        """[..] -> [.., item_width]; a list feature is the mean over its entries."""
        found = []
        for name, table in self.item_tables.items():
            codes = self.get_buffer(name)[items]
            embedded = table(codes)
            found.append(mean_over(embedded, codes > 0) if codes.dim() > items.dim() else embedded)
        return torch.cat(found, -1) if found else self.popularity.new_zeros((*items.shape, 0))


def log_popularity(interactions: Interactions) -> NDArray[np.float64]:
    """log(1 + events) of each item, with mean 0 and deviation 1 over the catalogue."""
    counts = np.log1p(interactions.item_counts())
    standard: NDArray[np.float64] = (counts - counts.mean()) / max(counts.std(), 1e-9)
    return standard


def _inside(name: str) -> str:
    """A feature's name as torch allows it: no dots."""
    return name.replace("%", "%25").replace(".", "%2E")


def _outside(name: str) -> str:
    return name.replace("%2E", ".").replace("%25", "%")
