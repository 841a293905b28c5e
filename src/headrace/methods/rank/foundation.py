"""An upstream model: two towers say what a user and an item are, a mix tower crosses them, and all three can be handed on.

    UR = LN(W f([features, taste, liked])),    IR = LN(V g([item, features, popularity])),    CR_0 .. CR_k = block([UR, IR])
    logit_t = w_t · CR_k + b_t

Users and items meet in the mix tower alone (`nn.interaction_block`), so UR and IR can be kept without each other, and a CR is
what this user made of this item before any task had its say. What retrievers said of a candidate and features of a pair have no
part: a downstream model could not know them of another log.
Shapes: state UR [R, du]; candidates -> IR [R, C, di], CR_l [R, C, du + di] or as wide as a dense layer -> logits [R, C] a task.
Cost: a tower a request, a tower and the block, O(crosses · (du + di)²), a candidate.
The cut (`shared`) is CR_k: nothing below it is a single task's.
Use it on the log that is largest, all its tasks at once, then `headrace foundation` and smaller plans that read what it knows
(docs/foundation.md). As a ranker of its own it does without what its siblings read of retrievers and pairs, so where nothing is
handed on `shared_bottom` has more to go by.
Paper: LFM4Ads (arXiv 2508.14948), section 3. Our reading: docs/papers/lfm4ads.md.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, State
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.interaction_block import InteractionBlock
from headrace.nn.task_scorer import TaskLogits, TaskScorer, TaskTower
from headrace.nn.tower import tower
from headrace.objectives.tasks import TasksConfig, learned_tasks


@config
class FoundationConfig(TasksConfig):
    towers: tuple[int, ...] = (64,)
    """Layers of the user's tower, and of the item's."""
    user_width: Annotated[int, Gt(0)] = 32
    """Of UR."""
    item_width: Annotated[int, Gt(0)] = 32
    """Of IR."""
    crosses: Annotated[int, Ge(0)] = 3
    hidden: tuple[int, ...] = (64, 64)
    """Dense layers above the crosses."""


class FoundationBody(nn.Module):
    """x = [UR, IR] [.., width] -> TaskLogits."""

    def __init__(self, width: int, tasks: Sequence[str], *, crosses: int = 3, hidden: Sequence[int] = (64, 64)):
        super().__init__()
        self.block = InteractionBlock(width, crosses, hidden)
        self.heads = Heads(self.block.out, tasks)

    def forward(self, x: Tensor) -> TaskLogits:
        z = self.block(x)[-1]
        return TaskLogits(self.heads(z), z)


class Heads(nn.Module):
    """z [.., D] -> a logit [..] a task."""

    def __init__(self, width: int, tasks: Sequence[str]):
        super().__init__()
        self.tasks = tuple(tasks)
        self.towers = nn.ModuleList(TaskTower(width, (), 0.0) for _ in tasks)

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        return {task: one(z) for task, one in zip(self.tasks, self.towers, strict=True)}


class Side(nn.Module):
    """A tower: [.., D] -> [.., width], standardised, so that both sides and every upstream come on one scale."""

    def __init__(self, width: int, hidden: Sequence[int], out: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.deep, last = tower(width, hidden, dropout)
        self.out = nn.Sequential(nn.Linear(last, out), nn.LayerNorm(out))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.deep(self.norm(x)))
        return found


class FoundationRanker(TaskScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists, of several tasks."""

    Config = FoundationConfig
    revision = 1
    reads_pairs = False
    config: FoundationConfig
    body: FoundationBody

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_tasks(self, interactions, artifacts)

    def user(self, batch: Batch) -> State:
        pooled = super().user(batch)
        return {"UR": self.user_side(torch.cat([pooled["features"], pooled["taste"], pooled["liked"]], -1))}

    def items(self, items: Tensor) -> Tensor:
        """[..] -> IR [.., di]."""
        known = self.fields.known(items)
        parts = [self.fields.items(known), self.fields.item(known), self.fields.popular(known)]
        found: Tensor = self.item_side(torch.cat(parts, -1))
        return found

    def joined(self, state: State, candidates: Batch) -> Tensor:
        """[UR, IR], [R, C, du + di]."""
        items = self.items(candidates["items"])
        return torch.cat([state["UR"].unsqueeze(1).expand(*items.shape[:2], -1), items], -1)

    def joined_width(self, stages: int) -> int:
        return self.config.user_width + self.config.item_width

    @property
    def widths(self) -> dict[str, int]:
        """Of a user's part, UR, and of each layer, CR0 .. CRk."""
        return {"UR": self.config.user_width, **{f"CR{at}": width for at, width in enumerate(self.body.block.widths)}}

    @property
    def read(self) -> dict[str, tuple[str, int]]:
        """Each field it reads: its kind, and how many codes or numbers it has. A history is as long as it says."""
        shapes = FieldShapes.stored(self.arrays(), f"{self.fields_at}.", table=self._table)
        found = {name: ("category", codes) for name, codes in shapes.users.items()}
        found |= {name: ("category" if len(shape) == 1 else "bag", codes) for name, (codes, shape) in shapes.items.items()}
        vector = {"item.vector": ("vector", shapes.vector_dim)} if shapes.vector_dim else {}
        return found | vector | {"history": ("events", self.config.history)}

    def extract(self, state: State, candidates: Batch) -> dict[str, Tensor]:
        """UR [R, C, du], IR [R, C, di] and CR0 .. CRk [R, C, ..]: all that can be handed on."""
        x = self.joined(state, candidates)
        user, item = torch.split(x, [self.config.user_width, self.config.item_width], -1)
        layers: list[Tensor] = self.body.block(x)
        return {"UR": user, "IR": item, **{f"CR{at}": one for at, one in enumerate(layers)}}

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        one = self.config
        self.fields = fields = FieldEmbeddings(shapes, one.item_dim, one.feature_dim)
        of_item = fields.items.embedding_dim + fields.item_width
        self.user_side = Side(fields.user_width + of_item, one.towers, one.user_width, one.dropout)
        self.item_side = Side(of_item + 1, one.towers, one.item_width, one.dropout)
        self.norm, self.body = nn.Identity(), self._body(self.joined_width(stages))

    def _body(self, width: int) -> FoundationBody:
        return FoundationBody(width, self.tasks, crosses=self.config.crosses, hidden=self.config.hidden)
