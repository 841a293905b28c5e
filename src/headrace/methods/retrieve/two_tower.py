"""Two-tower retrieval: users and items as vectors, trained to find each row's item among the batch's.

    score(u, i) = user(u) · item(i),   loss = in-batch softmax of score / temperature - log q   (see objectives/in_batch)

Vectors have length 1. Items' vectors are worked out once, so a request costs one product with the catalogue, O(N d), or, by
index = "codes", a look-up in a vector index (`encode.codes`). Cost of training O(B² d + B d²) a batch.
Use it where items and users have features or the catalogue is large. An item that nobody has chosen yet is proposed where items
have vectors (of their texts), by which it is known. It reads the history as a bag, so it loses to SASRec where order matters, and
to EASE on small catalogues without features.
Paper: Yi et al., RecSys 2019 (towers, in-batch softmax with log-q correction). Our reading: docs/papers/two_tower.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Requests
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.data.negatives import InBatch
from headrace.data.next_items import NextItemBatches
from headrace.data.rank_inputs import user_batch
from headrace.encode.nearest import Nearest, NearestConfig, is_of_index, need_index
from headrace.nn.fields import FieldShapes
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.topk import top_k
from headrace.nn.towers import Towers
from headrace.objectives.in_batch import InBatchChoice

_VECTORS = "index.vectors"


@config
class TwoTowerConfig(NearestConfig):
    dim: Annotated[int, Gt(0)] = 64
    item_dim: Annotated[int, Gt(0)] = 64
    feature_dim: Annotated[int, Gt(0)] = 8
    hidden: Annotated[int, Gt(0)] = 128
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20
    temperature: Annotated[float, Gt(0)] = 0.1
    batch_size: Annotated[int, Gt(1)] = 512
    """Also how many items each row's own is told from."""
    train: TrainConfig = TrainConfig(epochs=30, weight_decay=1e-4)


class TwoTower(nn.Module):
    """A learned `Retriever`. needs: the fitted features."""

    Config = TwoTowerConfig
    revision = 2
    needs = ("features",)

    def __init__(self, config: TwoTowerConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed, self.temperature = config, seed, config.temperature
        self._indexed: tuple[Tensor, Nearest] | None = None

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        need_index(self.config)
        features, settings, vectors = artifacts["features"], self.config, artifacts["features"].item_vectors
        users = [name for name in features.sizes if name.startswith("user.")]
        self._make(FieldShapes.of(interactions, users, features.sizes, vectors=vectors))
        self.towers.fields.fill(interactions, vectors)
        known = interactions.item_counts() > 0
        if vectors is not None:
            known |= vectors.any(1)
        self.available.copy_(torch.from_numpy(interactions.available & known))
        self.log_q = InBatch(torch.from_numpy(interactions.history.items.astype(np.int64)), interactions.n_items).log_q
        batches = NextItemBatches(
            interactions.history, features.users_at, self.schema, batch_size=settings.batch_size, seed=self.seed
        )
        return Learned(self, [InBatchChoice()], batches, needs=self.needs)

    def user(self, batch: Batch) -> Tensor:
        """[R, d]."""
        return self.towers.user(batch)

    def item(self, items: Tensor) -> Tensor:
        """[..] -> [.., d]."""
        return self.towers.item(items)

    @torch.inference_mode()
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        """Every request is answered: without a history, from the user's features alone."""
        self.eval()
        batch = {name: values.to(self.available.device) for name, values in user_batch(requests, self.schema).items()}
        if (nearest := self.nearest) is not None:
            return nearest.propose(self.user(batch).cpu().numpy(), k, allowed, "two_tower")
        scores = (self.user(batch) @ self.towers.vectors().T).masked_fill(~self.available, -torch.inf)
        return top_k(allowed.mask(scores.cpu().numpy()), k, "two_tower", seed=self.seed)

    @property
    def nearest(self) -> Nearest | None:
        """Of the items' vectors as they stand; None where all are compared."""
        if self.config.index == "exact":
            return None
        vectors = self.eval().towers.vectors()
        if self._indexed is None or self._indexed[0] is not vectors:  # trained on since
            of = vectors.cpu().numpy(), self.available.cpu().numpy()
            self._indexed = vectors, Nearest.over(*of, self.config, seed=self.seed)
        return self._indexed[1]

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        nearest, found = self.nearest, {**arrays_of(self), "seed": np.array(self.seed)}
        return found if nearest is None else {**found, _VECTORS: self.towers.vectors().cpu().numpy(), **nearest.arrays()}

    @classmethod
    def from_arrays(cls, config: TwoTowerConfig, arrays: Mapping[str, NDArray[Any]]) -> "TwoTower":
        made = cls(config, seed=int(arrays["seed"]))
        made._make(FieldShapes.stored(arrays, "towers.fields."))
        load_arrays_into(made, {name: values for name, values in arrays.items() if name != "seed" and not is_of_index(name)})
        if config.index == "codes":
            made.towers.kept = torch.from_numpy(arrays[_VECTORS])
            nearest = Nearest.over(arrays[_VECTORS], made.available.numpy(), config, seed=made.seed, arrays=arrays)
            made._indexed = made.towers.kept, nearest
        return made

    def _make(self, shapes: FieldShapes) -> None:
        settings = self.config
        self.towers = Towers(
            shapes, item_dim=settings.item_dim, feature_dim=settings.feature_dim, hidden=settings.hidden, dim=settings.dim,
            dropout=settings.dropout, unit=True,
        )  # fmt: skip
        self.register_buffer("available", torch.ones(shapes.n_items, dtype=torch.bool))
        self.available: Tensor
        self.schema = self.towers.fields.schema(settings.history)
