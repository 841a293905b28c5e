"""LFM4Ads, downstream: a DCN-V2 that also reads what a larger upstream model, frozen, knows of the user and the item.

    feature level, z = [UR, CR, ..] standardised:     linear, mlp    x_0 = [E, f(z_user), f(z_item)]
                                                      gate           x_0 = E * 2 sigmoid(W_user z_user + W_item z_item)
    module level:                                     logit = w · [cross(x_0), MLP(x_0), norm(block(UR, IR))]

E is DCN-V2's own x_0. UR, IR: the upstream's user and item towers; CR, "item CR": sums so far of its cross representations, of a
user and of an item. A user's are as of each request, an item's as of the start of the window that is learned from (a buffer until
the next build). block: an `InteractionBlock` of the upstream's structure that starts from its weights and is trained on;
"random": the same without them, the control.
The gate's maps start at zero, so that it starts as the plain DCN-V2.
Shapes: user side [R, ..] once, candidates [R, C, ..] -> logits [R, C]. Cost beside DCN-V2's: O(width D) a candidate for the gate,
the block's own layers at the module level. An upstream costs a look-up a request: nothing of it runs here.
Use it where this log is short and the upstream's is long. It has nothing to say on users and items that the upstream has not met,
which share one learned vector, and what it says of others ages until it is made anew. `reads = []` without a block is the
control that transfers nothing.
Siblings: `dcnv2` without an upstream; `retrieve/standalone` proposes by the same vectors.
Paper: LFM4Ads (arXiv 2508.14948), feature and module level. Our reading: docs/papers/lfm4ads.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch, Field
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, listed
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Outputs, State
from headrace.data.foundation import USER, Foundation
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.interaction_block import InteractionBlock
from headrace.nn.pooled_scorer import PooledScorer
from headrace.nn.state import load_arrays_into
from headrace.nn.tower import tower
from headrace.nn.transferred import FieldSchema, Transferred, as_bytes, from_bytes, parts_in, schema_of
from headrace.objectives.choice import TASK, ChoiceConfig, learned_choice

Part = Literal["UR", "CR", "IR", "item CR"]
_OF_ITEMS = {"IR": "IR", "item CR": "CR"}
"""What stands in an item's vector under which name."""


@config
class LFM4AdsConfig(ChoiceConfig):
    reads: tuple[Part, ...] = ("CR",)
    adapter: Literal["linear", "mlp", "gate"] = "gate"
    adapter_dim: Annotated[int, Gt(0)] = 16
    """Of linear and mlp: so many numbers of each side are joined."""
    isomorphic: bool | Literal["random"] = False
    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    cross_layers: Annotated[int, Gt(0)] = 2
    hidden: tuple[int, ...] = (64, 32)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.reads)) < len(self.reads):
            raise ConfigError(f"reads = {list(self.reads)} names a part twice. Name each once.")

    @property
    def of_users(self) -> list[str]:
        return [part for part in self.reads if part not in _OF_ITEMS]

    @property
    def of_items(self) -> list[str]:
        return [_OF_ITEMS[part] for part in self.reads if part in _OF_ITEMS]


class LFM4Ads(PooledScorer):
    """A learned `Scorer`. needs: features, candidate lists and the upstream's vectors."""

    Config = LFM4AdsConfig
    revision = 1
    needs = ("features", "candidate_lists", "foundation")
    config: LFM4AdsConfig
    known_of_items: Tensor

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        foundation: Foundation = artifacts["foundation"]
        self._made_for(schema_of(foundation), foundation.settings.get("block", {}))
        learned = learned_choice(self, interactions, artifacts)
        items = foundation.items_at(interactions.cut_us)
        self.known_of_items.copy_(torch.from_numpy(items))
        of_requests = artifacts["candidate_lists"].requests.features[USER]
        for one, vectors in ((self.of_user, of_requests), (self.of_item, items)):
            if one is not None:
                one.fit(vectors)  # the block's UR and IR stay as they are: its weights were learned on those
        if self.config.isomorphic is True:
            load_arrays_into(self.block, foundation.block)
        return learned

    @property
    def foundation_schema(self) -> FieldSchema:
        """Of the upstream it was trained with."""
        return {name: (kind, size) for name, (kind, size) in self.told["schema"].items()}

    def user(self, batch: Batch) -> State:
        state, vectors = dict(super().user(batch)), batch[USER]
        if self.of_user is not None:
            state["transferred"] = self.from_user(self.of_user(vectors))
        if self.ur is not None:
            state["UR"] = self.ur(vectors)
        return state

    def score(self, state: State, candidates: Batch) -> Outputs:
        x0 = self.norm(self.joined(state, candidates))
        items = candidates["items"]
        vectors = self.known_of_items[items.masked_fill(items >= len(self.known_of_items), 0)]
        said = [] if self.of_user is None else [state["transferred"].unsqueeze(1).expand(*items.shape, -1)]
        if self.of_item is not None:
            said.append(self.from_item(self.of_item(vectors)))
        gated = said and self.config.adapter == "gate"
        x0 = x0 * (2 * sum(said[1:], said[0]).sigmoid()) if gated else torch.cat([x0, *said], -1)
        shared = [self.cross(x0)[-1], self.deep(x0)]
        if self.ir is not None:
            user = state["UR"].unsqueeze(1).expand(*items.shape, -1)
            shared.append(self.block_norm(self.block(torch.cat([user, self.ir(vectors)], -1))[-1]))
        both = torch.cat(shared, -1)
        return Outputs({TASK: self.head(both).squeeze(-1)}, shared=both)

    def _made_for(self, schema: FieldSchema, block: Mapping[str, Any]) -> None:
        """What its layers and its schema are made of."""
        self.told = {"schema": {name: list(field) for name, field in schema.items()}, "block": dict(block)}
        fed = {"user": ["UR"], "item": ["IR"]} if self.config.isomorphic else {}
        for side, reads in (("user", self.config.of_users), ("item", self.config.of_items)):
            have = parts_in(schema, side)
            missing = [part for part in (*reads, *fed.get(side, ())) if part not in have]
            if missing:
                raise ConfigError(
                    f"lfm4ads reads {listed(missing)} of {side}s, and the upstream's artifact has: {listed(have) or 'nothing'}. "
                    "Set reads and isomorphic to what is there."
                )
        if fed:
            width = sum(parts_in(schema, side)[part] for side, parts in fed.items() for part in parts)
            if block.get("width") != width:
                raise ConfigError(
                    f"lfm4ads: the upstream's block takes {block.get('width', 'no')} numbers, and UR with IR are {width}: "
                    "it can't be fed with them. Set isomorphic = false."
                )

    def _filled(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        told = from_bytes(arrays["upstream"])
        self._made_for({name: tuple(field) for name, field in told["schema"].items()}, told["block"])
        return super()._filled(arrays)

    def _begin(self, shapes: FieldShapes, stages: int) -> None:
        super()._begin(shapes, stages)
        width = sum(parts_in(self.foundation_schema, "user").values())
        self.schema = {**self.schema, USER: Field("float32", ("rows", width))}

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings = self.config
        self.fields = FieldEmbeddings(shapes, settings.item_dim, settings.feature_dim)
        width = self.joined_width(stages)
        of_users, of_items = (parts_in(self.foundation_schema, side) for side in ("user", "item"))
        self.register_buffer("upstream", as_bytes(self.told))
        self.register_buffer("known_of_items", torch.zeros(shapes.n_items, sum(of_items.values())))
        self.norm = nn.LayerNorm(width)
        self.of_user = Transferred(of_users, settings.of_users) if settings.of_users else None
        self.of_item = Transferred(of_items, settings.of_items) if settings.of_items else None
        gated, dim = settings.adapter == "gate", settings.adapter_dim
        if self.of_user is not None:
            self.from_user = _gate(self.of_user.width, width) if gated else _joined(self.of_user.width, dim, settings.adapter)
        if self.of_item is not None:
            self.from_item = _gate(self.of_item.width, width) if gated else _joined(self.of_item.width, dim, settings.adapter)
        width += 0 if gated else dim * ((self.of_user is not None) + (self.of_item is not None))
        self.cross = InteractionBlock(width, settings.cross_layers, ())
        self.deep, out = tower(width, settings.hidden, settings.dropout)
        both = width + out
        self.ur = Transferred(of_users, ["UR"]) if settings.isomorphic else None
        self.ir = Transferred(of_items, ["IR"]) if settings.isomorphic else None
        if settings.isomorphic:
            block = self.told["block"]
            self.block = InteractionBlock(block["width"], block["crosses"], block["hidden"])
            self.block_norm = nn.LayerNorm(self.block.out)
            both += self.block.out
        self.head = nn.Linear(both, 1)


def _gate(width: int, out: int) -> nn.Linear:
    """Zero at the start: 2 sigmoid of it is 1."""
    made = nn.Linear(width, out)
    nn.init.zeros_(made.weight)
    nn.init.zeros_(made.bias)
    return made


def _joined(width: int, dim: int, adapter: str) -> nn.Module:
    if adapter == "linear":
        return nn.Linear(width, dim)
    return nn.Sequential(nn.Linear(width, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))
