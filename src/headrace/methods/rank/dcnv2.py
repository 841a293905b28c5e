"""DCN-V2: explicit crosses of all features, beside a deep tower, over one request's candidates.

    x_{l+1} = x_0 * (W_l x_l + b_l) + x_l,      logit = w · [x_L, MLP(x_0)]

x_0 joins: the user's features and taste (means over the newest history of item and category embeddings), the candidate's
embedding, features and log popularity, their products, and what each retriever said of it.
Shapes: user side [R, ..] once, candidates [R, C, D] -> logits [R, C]. Cost O(layers · D²) a candidate.
Trained listwise on the retrievers' own candidates of a later window than they were fitted on, so it learns to correct them.
Use it when there are features worth crossing and 10,000 requests and more; below that a tuned LightGBM is hard to beat.
Paper: Wang et al., WWW 2021, equations 1 and 2 (full-rank cross, parallel structure).
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch, Field
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Outputs, State
from headrace.contracts.training import TrainConfig
from headrace.data.rank_inputs import ListBatches
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.objectives.listwise import ListwiseChoice

TASK = "choice"


@config
class DCNv2Config:
    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    cross_layers: Annotated[int, Gt(0)] = 2
    hidden: tuple[int, ...] = (64, 32)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20
    width: Annotated[int, Gt(1)] = 64
    """Candidates a request while training: all that were chosen and a draw of the others."""
    batch_size: Annotated[int, Gt(0)] = 64
    train: TrainConfig = TrainConfig(epochs=10, patience=2, weight_decay=1e-4)


class CrossNet(nn.Module):
    """[.., D] -> [.., D]. With W = 0 and b = 0 it is the identity."""

    def __init__(self, dim: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))

    def forward(self, x0: Tensor) -> Tensor:
        x = x0
        for layer in self.layers:
            x = x0 * layer(x) + x
        return x


class DCNv2(nn.Module):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = DCNv2Config
    revision = 1
    needs = ("features", "candidate_lists")

    def __init__(self, config: DCNv2Config, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        lists, sizes = artifacts["candidate_lists"], artifacts["features"].sizes
        stages = list(lists.candidates.scores)
        user_sizes = {name: sizes[name] for name in lists.requests.features}
        item_sizes = {name: sizes[name] for name in interactions.features}
        shapes = {name: codes.shape for name, codes in interactions.features.items()}
        self._make(interactions.n_items, user_sizes, item_sizes, shapes, len(stages))
        for name, codes in interactions.features.items():
            self.get_buffer(_inside(name)).copy_(torch.from_numpy(codes))
        counts = np.log1p(interactions.item_counts())
        self.popularity.copy_(torch.from_numpy((counts - counts.mean()) / max(counts.std(), 1e-9)))
        width, batch_size = self.config.width, self.config.batch_size
        batches = ListBatches(lists, self.schema, stages, width=width, batch_size=batch_size, seed=self.seed)
        return Learned(self, [ListwiseChoice(TASK)], batches, needs=self.needs)

    def user(self, batch: Batch) -> State:
        past = self._known(batch["history"])
        there = (past > 0).unsqueeze(-1)
        count = there.sum(1).clamp(min=1)
        features = [table(batch[name]) for name, table in self._tables(self.user_tables)]
        return {
            "features": torch.cat(features, -1) if features else self.popularity.new_zeros((len(past), 0)),
            "taste": (self.items(past) * there).sum(1) / count,
            "liked": (self._item_features(past) * there).sum(1) / count,
        }

    def score(self, state: State, candidates: Batch) -> Outputs:
        items = self._known(candidates["items"])
        rows, width = items.shape
        item, features = self.items(items), self._item_features(items)
        taste, liked = state["taste"].unsqueeze(1), state["liked"].unsqueeze(1)
        user = torch.cat([state["features"].unsqueeze(1), taste, liked], -1).expand(rows, width, -1)
        known = [item * taste, features * liked, self.popularity[items].unsqueeze(-1), candidates["retrieval"]]
        x0 = self.norm(torch.cat([user, item, features, *known], -1))
        shared = torch.cat([self.cross(x0), self.deep(x0)], -1)
        return Outputs({TASK: self.head(shared).squeeze(-1)}, shared=shared)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return arrays_of(self)

    @classmethod
    def from_arrays(cls, config: DCNv2Config, arrays: Mapping[str, NDArray[Any]]) -> "DCNv2":
        def sizes(tables: str) -> dict[str, int]:
            found = (name.removeprefix(tables + ".") for name in arrays if name.startswith(tables + "."))
            return {_outside(name.removesuffix(".weight")): len(arrays[f"{tables}.{name}"]) for name in found}

        item_sizes = sizes("item_tables")
        made = cls(config)
        shapes = {name: arrays[_inside(name)].shape for name in item_sizes}
        made._make(len(arrays["items.weight"]), sizes("user_tables"), item_sizes, shapes, int(arrays["stages"]))
        load_arrays_into(made, arrays)
        return made

    def _make(
        self, n_items: int, user_sizes: Mapping[str, int], item_sizes: Mapping[str, int],
        shapes: Mapping[str, tuple[int, ...]], stages: int,
    ) -> None:  # fmt: skip
        settings = self.config
        self.items = nn.Embedding(n_items, settings.item_dim, padding_idx=0)
        self.user_tables = nn.ModuleDict({_inside(n): nn.Embedding(size, settings.feature_dim) for n, size in user_sizes.items()})
        self.item_tables = nn.ModuleDict(
            {_inside(n): nn.Embedding(size, settings.feature_dim, padding_idx=0) for n, size in item_sizes.items()}
        )
        for weight in (self.items.weight, *self.user_tables.parameters(), *self.item_tables.parameters()):
            nn.init.normal_(weight, std=0.05)
        for weight in (self.items.weight, *self.item_tables.parameters()):
            nn.init.zeros_(weight[0])
        for name, shape in shapes.items():
            self.register_buffer(_inside(name), torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("popularity", torch.zeros(n_items))
        self.register_buffer("stages", torch.tensor(stages))
        self.popularity: Tensor
        features = settings.feature_dim * len(item_sizes)
        width = settings.feature_dim * len(user_sizes) + 3 * (settings.item_dim + features) + 1 + 3 * stages
        self.norm, self.cross = nn.LayerNorm(width), CrossNet(width, settings.cross_layers)
        deep: list[nn.Module] = []
        for into, out in zip((width, *settings.hidden), settings.hidden, strict=False):
            deep += [nn.Linear(into, out), nn.ReLU(), nn.Dropout(settings.dropout)]
        self.deep, self.head = nn.Sequential(*deep), nn.Linear(width + (settings.hidden or (width,))[-1], 1)
        self.schema = {"history": Field("int64", ("rows", settings.history))} | {
            name: Field("int64", ("rows",)) for name in user_sizes
        }
        self.candidate_schema = {
            "items": Field("int64", ("rows", "candidates")),
            "retrieval": Field("float32", ("rows", "candidates", 3 * stages)),
        }

    def _known(self, items: Tensor) -> Tensor:
        """An item of a catalogue that has grown since is unknown."""
        return items.masked_fill(items >= self.items.num_embeddings, 0)

    def _item_features(self, items: Tensor) -> Tensor:
        """[.., features · feature_dim]; a list feature is the mean over its entries."""
        found = []
        for name, table in self._tables(self.item_tables):
            codes = self.get_buffer(_inside(name))[items]
            embedded = table(codes)
            if codes.dim() > items.dim():
                count = (codes > 0).sum(-1, keepdim=True).clamp(min=1)
                embedded = embedded.sum(-2) / count  # padding rows are zero: padding_idx
            found.append(embedded)
        return torch.cat(found, -1) if found else self.popularity.new_zeros((*items.shape, 0))

    def _tables(self, tables: nn.ModuleDict) -> list[tuple[str, nn.Module]]:
        return [(_outside(name), table) for name, table in tables.items()]


def _inside(name: str) -> str:
    """A feature's name as torch allows it: no dots."""
    return name.replace("%", "%25").replace(".", "%2E")


def _outside(name: str) -> str:
    return name.replace("%2E", ".").replace("%25", "%")
