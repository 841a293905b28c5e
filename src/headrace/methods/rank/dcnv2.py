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

import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Outputs, State
from headrace.contracts.training import TrainConfig
from headrace.data.rank_inputs import ListBatches, list_schema
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.pooling import mean_over
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
    revision = 2
    needs = ("features", "candidate_lists")

    def __init__(self, config: DCNv2Config, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        lists, settings = artifacts["candidate_lists"], self.config
        stages = list(lists.candidates.scores)
        self._make(FieldShapes.of(interactions, lists.requests.features, artifacts["features"].sizes), len(stages))
        self.fields.fill(interactions)
        batches = ListBatches(lists, self.schema, stages, width=settings.width, batch_size=settings.batch_size, seed=self.seed)
        return Learned(self, [ListwiseChoice(TASK)], batches, needs=self.needs)

    def user(self, batch: Batch) -> State:
        past = self.fields.known(batch["history"])
        return {
            "features": self.fields.user(batch),
            "taste": mean_over(self.fields.items(past), past > 0),
            "liked": mean_over(self.fields.item(past), past > 0),
        }

    def score(self, state: State, candidates: Batch) -> Outputs:
        items = self.fields.known(candidates["items"])
        rows, width = items.shape
        item, features = self.fields.items(items), self.fields.item(items)
        taste, liked = state["taste"].unsqueeze(1), state["liked"].unsqueeze(1)
        user = torch.cat([state["features"].unsqueeze(1), taste, liked], -1).expand(rows, width, -1)
        known = [item * taste, features * liked, self.fields.popularity[items].unsqueeze(-1), candidates["retrieval"]]
        x0 = self.norm(torch.cat([user, item, features, *known], -1))
        shared = torch.cat([self.cross(x0), self.deep(x0)], -1)
        return Outputs({TASK: self.head(shared).squeeze(-1)}, shared=shared)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return arrays_of(self)

    @classmethod
    def from_arrays(cls, config: DCNv2Config, arrays: Mapping[str, NDArray[Any]]) -> "DCNv2":
        made = cls(config)
        made._make(FieldShapes.stored(arrays, "fields."), int(arrays["stages"]))
        load_arrays_into(made, arrays)
        return made

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings = self.config
        self.fields = FieldEmbeddings(shapes, settings.item_dim, settings.feature_dim)
        self.register_buffer("stages", torch.tensor(stages))
        width = self.fields.user_width + 3 * (settings.item_dim + self.fields.item_width) + 1 + 3 * stages
        self.norm, self.cross = nn.LayerNorm(width), CrossNet(width, settings.cross_layers)
        deep: list[nn.Module] = []
        for into, out in zip((width, *settings.hidden), settings.hidden, strict=False):
            deep += [nn.Linear(into, out), nn.ReLU(), nn.Dropout(settings.dropout)]
        self.deep, self.head = nn.Sequential(*deep), nn.Linear(width + (settings.hidden or (width,))[-1], 1)
        self.schema = self.fields.schema(settings.history)
        self.candidate_schema = list_schema(stages)
