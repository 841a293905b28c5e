"""The embedding layer of a model over feature codes: one table an item, one a feature, the item's own codes kept beside them.

Users' codes come with each request, those of a pair with each candidate; items' codes are static, so they are buffers that are
looked up by item number. So are items' vectors (an encoder's, of their texts): they stay as they are, and a learned linear map
brings them to the size of an item's embedding. An item without a text has a vector of zeros, and is mapped to zeros.

Items have a row each, or share rows as a `tables.TableConfig` says. Shared rows serve items that came after training too: what
such an item has of its own, its codes and its popularity, is then that of the unknown item.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch, Field, Schema
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Float32
from headrace.nn.pooling import mean_over
from headrace.nn.tables import CappedEmbedding, TableConfig, item_table


@dataclass(frozen=True)
class FieldShapes:
    """users, pairs: feature -> number of codes. items: feature -> number of codes and the shape of the catalogue's codes.

    vector_dim: of items' vectors, 0 where there are none. table: of items. kept: with table.least, items seen so often.
    """

    n_items: int
    users: Mapping[str, int]
    items: Mapping[str, tuple[int, tuple[int, ...]]]
    pairs: Mapping[str, int] = field(default_factory=dict)
    vector_dim: int = 0
    table: TableConfig = field(default_factory=TableConfig)
    kept: int = 0

    @classmethod
    def of(
        cls, interactions: Interactions, user_names: Iterable[str], sizes: Mapping[str, int], *,
        pairs: Iterable[str] = (), vectors: Float32 | None = None, table: TableConfig | None = None,
    ) -> "FieldShapes":  # fmt: skip
        """pairs: names of features that candidates carry. vectors [n_items, dim]."""
        items = {name: (sizes[name], codes.shape) for name, codes in interactions.features.items()}
        users, both = ({name: sizes[name] for name in names} for names in (user_names, pairs))
        table = table or TableConfig()
        kept = int(_often(interactions, table.least).sum()) if table.least else 0
        return cls(interactions.n_items, users, items, both, 0 if vectors is None else vectors.shape[1], table, kept)

    @classmethod
    def stored(cls, arrays: Mapping[str, NDArray[Any]], prefix: str, *, table: TableConfig | None = None) -> "FieldShapes":
        """As they were when a module's arrays were put down. prefix: the module's name with its dot. table: it had this one."""

        def sizes(tables: str) -> dict[str, int]:
            found = (name.removeprefix(tables) for name in arrays if name.startswith(tables))
            return {_outside(name.removesuffix(".weight")): len(arrays[tables + name]) for name in found}

        items = sizes(f"{prefix}item_tables.")
        shapes = {name: (size, arrays[prefix + _inside(name)].shape) for name, size in items.items()}
        users, pairs = (sizes(f"{prefix}{side}_tables.") for side in ("user", "pair"))
        vectors = arrays.get(f"{prefix}vectors")
        kept = len(arrays[f"{prefix}items.own.weight"]) - 1 if table is not None and table.least else 0
        dim = 0 if vectors is None else vectors.shape[1]
        return cls(len(arrays[f"{prefix}popularity"]), users, shapes, pairs, dim, table or TableConfig(), kept)


class FieldEmbeddings(nn.Module):
    """user_width, item_width, pair_width: of a user's, an item's and a pair's embedded features, in the order of their names.

    An item's end with its vector, mapped to item_dim numbers.
    """

    def __init__(self, shapes: FieldShapes, item_dim: int, feature_dim: int):
        super().__init__()
        # In the order of their names: a file holds them in an order of its own, and they are joined in this one.
        users, items = sorted(shapes.users.items()), sorted(shapes.items.items())
        self.items = item_table(shapes.n_items, shapes.kept, item_dim, shapes.table)
        self.user_tables = nn.ModuleDict({_inside(name): nn.Embedding(size, feature_dim) for name, size in users})
        self.item_tables = nn.ModuleDict(
            {_inside(name): nn.Embedding(size, feature_dim, padding_idx=0) for name, (size, _) in items}
        )
        self.pair_tables = nn.ModuleDict(
            {_inside(name): nn.Embedding(size, feature_dim, padding_idx=0) for name, size in sorted(shapes.pairs.items())}
        )
        self.from_vector: nn.Linear | None = None
        if shapes.vector_dim:
            self.from_vector = nn.Linear(shapes.vector_dim, item_dim, bias=False)
            self.register_buffer("vectors", torch.zeros(shapes.n_items, shapes.vector_dim))
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.05)
        for table in self.modules():
            if isinstance(table, nn.Embedding) and table.padding_idx is not None:
                nn.init.zeros_(table.weight[0])
        for name, (_, shape) in items:
            self.register_buffer(_inside(name), torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("popularity", torch.zeros(shapes.n_items))
        self.popularity: Tensor
        self.least, self.shares = shapes.table.least, bool(shapes.table.least or shapes.table.hashed)
        self.user_names = [name for name, _ in users]
        self.user_width, self.pair_width = feature_dim * len(users), feature_dim * len(shapes.pairs)
        self.item_width = feature_dim * len(items) + (item_dim if shapes.vector_dim else 0)

    def fill(self, interactions: Interactions, vectors: Float32 | None = None) -> None:
        """Each item's codes, its vector, and its log popularity, standardised over the catalogue.

        With vectors, an item that nobody has chosen starts without an embedding of its own: what it has of one is a draw that
        nothing corrects, and would stand beside what its text says. Rows that are shared are left as they are.
        """
        for name, codes in interactions.features.items():
            self.get_buffer(_inside(name)).copy_(torch.from_numpy(codes))
        self.popularity.copy_(torch.from_numpy(log_popularity(interactions)))
        if vectors is not None:
            self.get_buffer("vectors").copy_(torch.from_numpy(vectors))
        if isinstance(self.items, CappedEmbedding):
            self.items.hold(torch.from_numpy(_often(interactions, self.least)))
        elif vectors is not None and not self.shares:
            with torch.no_grad():
                self.items.weight[torch.from_numpy(interactions.item_counts() == 0)] = 0

    def schema(self, history: int) -> Schema:
        """What `user` and a history of so many items are read from."""
        users = {name: Field("int64", ("rows",)) for name in self.user_names}
        return {"history": Field("int64", ("rows", history)), **users}

    @property
    def n_items(self) -> int:
        return len(self.popularity)

    def known(self, items: Tensor) -> Tensor:
        """An item of a catalogue that has grown since is unknown, unless rows are shared."""
        return items if self.shares else self._counted(items)

    def popular(self, items: Tensor) -> Tensor:
        """[..] -> [.., 1]: log popularity."""
        return self.popularity[self._counted(items) if self.shares else items].unsqueeze(-1)

    def _counted(self, items: Tensor) -> Tensor:
        """As it was when the catalogue was read: a later item has no code, vector or popularity."""
        return items.masked_fill(items >= self.n_items, 0)

    def user(self, batch: Batch) -> Tensor:
        """[rows, user_width]."""
        found = [table(batch[_outside(name)]) for name, table in self.user_tables.items()]
        return torch.cat(found, -1) if found else self.popularity.new_zeros((batch["history"].shape[0], 0))

    def item(self, items: Tensor) -> Tensor:
        """[..] -> [.., item_width]; a list feature is the mean over its entries, the vector stands last."""
        found, items = [], self._counted(items) if self.shares else items
        for name, table in self.item_tables.items():
            codes = self.get_buffer(name)[items]
            embedded = table(codes)
            found.append(mean_over(embedded, codes > 0) if codes.dim() > items.dim() else embedded)
        if self.from_vector is not None:
            found.append(self.from_vector(self.get_buffer("vectors")[items]))
        return torch.cat(found, -1) if found else self.popularity.new_zeros((*items.shape, 0))

    def codes(self, name: str, items: Tensor) -> Tensor:
        """[..] -> [.., L]: an item's codes of one feature, 0 where it has none; L is 1 but for a list feature."""
        found = self.get_buffer(_inside(name))[self._counted(items) if self.shares else items]
        return found if found.dim() > items.dim() else found.unsqueeze(-1)

    def pair(self, candidates: Batch) -> Tensor:
        """[rows, candidates, pair_width]: what candidates carry."""
        found = [table(candidates[_outside(name)]) for name, table in self.pair_tables.items()]
        return torch.cat(found, -1) if found else self.popularity.new_zeros((*candidates["items"].shape, 0))


def _often(interactions: Interactions, least: int) -> NDArray[np.bool_]:
    """Which items were seen so many times, [n_items]. The unknown item is none."""
    often: NDArray[np.bool_] = interactions.item_counts() >= least
    often[0] = False
    return often


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
