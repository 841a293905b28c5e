"""Standalone retrieval: an upstream's item vectors as they are, and a map of what it knows of a user onto them.

    score(u, i) = (W z(u) + b) · IR(i),   z = UR or CR of the user, loss = in-batch softmax of score / temperature - log q

IR is frozen, each number standardised over the items that have one: that moves no order that W can't undo, so an index over the
upstream's own vectors answers W's queries. W alone is trained, which takes few events.
fresh: the control, the same without a transfer: IR is a new embedding of the item and its features, z the user's features and the
mean of such embeddings over their newest history. It proposes from the same items.
Shapes: user [R, d], item [.., d], d the width of IR. Cost: a look-up and one product with the catalogue, O(N d), a request.
An item without an IR is never proposed. A user the upstream has not met is answered by one learned query, the same for all.
Use it where this log has few events and the upstream knows its users; with a long log of its own `two_tower`, which trains both
sides, is the one to beat. Relation to `lfm4ads`: that ranks by the same vectors.
Paper: LFM4Ads (arXiv 2508.14948), model level. Our reading: docs/papers/lfm4ads.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch, Field, Schema
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, listed
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Requests
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.data.foundation import USER, Foundation
from headrace.data.negatives import InBatch
from headrace.data.next_items import NextItemBatches
from headrace.data.rank_inputs import user_batch
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.pooling import mean_over
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.topk import top_k
from headrace.nn.transferred import FieldSchema, Transferred, as_bytes, from_bytes, parts_in, schema_of
from headrace.objectives.in_batch import InBatchChoice


@config
class StandaloneConfig:
    reads: Literal["UR", "CR"] = "CR"
    fresh: bool = False
    item_dim: Annotated[int, Gt(0)] = 32
    """Of a fresh embedding, as the next two."""
    feature_dim: Annotated[int, Gt(0)] = 8
    history: Annotated[int, Gt(0)] = 20
    temperature: Annotated[float, Gt(0)] = 1.0
    batch_size: Annotated[int, Gt(1)] = 512
    """Also how many items each row's own is told from."""
    train: TrainConfig = TrainConfig(epochs=30, weight_decay=1e-4)


class Standalone(nn.Module):
    """A learned `Retriever`. needs: the fitted features, and what an upstream knows."""

    Config = StandaloneConfig
    revision = 1
    needs = ("features", "foundation")
    schema: Schema
    available: Tensor
    items: Tensor

    def __init__(self, config: StandaloneConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed, self.temperature = config, seed, config.temperature

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        features, foundation, settings = artifacts["features"], artifacts["foundation"], self.config
        vectors = foundation.items_at(interactions.cut_us)
        users = [name for name in features.sizes if name.startswith("user.")]
        self._make(schema_of(foundation), FieldShapes.of(interactions, users, features.sizes))
        known = vectors.any(1)
        self.available.copy_(torch.from_numpy(interactions.available & known))
        history = interactions.history
        # What has no vector can't be told from the others, nor be proposed: it is nothing to learn.
        learned = replace(history, items=np.where(known[history.items], history.items, 0).astype(np.int32))
        self._fill(interactions, foundation, vectors)
        self.log_q = InBatch(torch.from_numpy(learned.items[learned.items > 0].astype(np.int64)), interactions.n_items).log_q
        batches = NextItemBatches(learned, features.users_at, self.schema, batch_size=settings.batch_size, seed=self.seed)
        return Learned(self, [InBatchChoice()], batches, needs=self.needs)

    @property
    def foundation_schema(self) -> FieldSchema:
        """Of the upstream it was trained with."""
        return {name: (kind, size) for name, (kind, size) in self.told.items()}

    def user(self, batch: Batch) -> Tensor:
        """[R, d]."""
        if self.config.fresh:
            past = self.fields.known(batch["history"])
            taste = mean_over(self._fresh(past), past > 0)
            said = torch.cat([self.fields.user(batch), taste], -1)
        else:
            said = self.of_user(batch[USER])
        query: Tensor = self.query(said)
        return query

    def item(self, items: Tensor) -> Tensor:
        """[..] -> [.., d]."""
        items = items.masked_fill(items >= len(self.available), 0)
        if self.config.fresh:
            return self._fresh(items)
        return self.items[items]

    @torch.inference_mode()
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        self.eval()
        device = self.available.device
        batch = {name: values.to(device) for name, values in user_batch(requests, self.schema).items()}
        items = self.item(torch.arange(len(self.available), device=device))
        scores = (self.user(batch) @ items.T).masked_fill(~self.available, -torch.inf)
        return top_k(allowed.mask(scores.cpu().numpy()), k, "standalone", seed=self.seed)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {**arrays_of(self), "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: StandaloneConfig, arrays: Mapping[str, NDArray[Any]]) -> "Standalone":
        made = cls(config, seed=int(arrays["seed"]))
        shapes = FieldShapes.stored(arrays, "fields.") if config.fresh else FieldShapes(len(arrays["available"]), {}, {})
        made._make({name: tuple(field) for name, field in from_bytes(arrays["upstream"]).items()}, shapes)
        load_arrays_into(made, {name: values for name, values in arrays.items() if name != "seed"})
        return made

    def _fresh(self, items: Tensor) -> Tensor:
        return torch.cat([self.fields.items(items), self.fields.item(items)], -1)

    def _fill(self, interactions: Interactions, foundation: Foundation, vectors: NDArray[np.float32]) -> None:
        """What is frozen."""
        if self.config.fresh:
            self.fields.fill(interactions)
            return
        ir = Transferred(foundation.item_parts, ["IR"])
        ir.fit(vectors)
        with torch.no_grad():
            self.items.copy_(ir(torch.from_numpy(vectors)))
        history = interactions.history
        self.of_user.fit(foundation.users_at(history.rows().astype(np.int32), history.at_us))

    def _make(self, schema: FieldSchema, shapes: FieldShapes) -> None:
        settings, self.told = self.config, dict(schema)
        self.register_buffer("upstream", as_bytes({name: list(field) for name, field in schema.items()}))
        self.register_buffer("available", torch.ones(shapes.n_items, dtype=torch.bool))
        of_users, of_items = (parts_in(schema, side) for side in ("user", "item"))
        for part, have in ((settings.reads, of_users), ("IR", of_items)):
            if part not in have:
                raise ConfigError(f"standalone reads {part}, and the upstream's artifact has: {listed(have) or 'nothing'}.")
        if settings.fresh:
            self.fields = FieldEmbeddings(shapes, settings.item_dim, settings.feature_dim)
            width = settings.item_dim + self.fields.item_width
            self.query = nn.Linear(self.fields.user_width + width, width)
            self.schema = self.fields.schema(settings.history)
        else:
            self.of_user = Transferred(of_users, [settings.reads])
            self.register_buffer("items", torch.zeros(shapes.n_items, of_items["IR"]))
            self.query = nn.Linear(self.of_user.width, of_items["IR"])
            self.schema = {USER: Field("float32", ("rows", sum(of_users.values())))}
