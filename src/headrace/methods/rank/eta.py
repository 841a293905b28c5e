"""Efficient target attention: events and candidate are hashed to some bits, and the k events of nearest bits are attended to.

    h(x) = sign(x R),  R [E, bits] drawn once;    found = the k events of least Hamming distance to h(q), the newest first where
    distances are equal;     read = multi-head attention of the candidate over found, with each event's age

x: embedding and features of an item, as they are at that step, so that search and ranker learn together. Two vectors at an angle
a differ in a / pi of their bits, give or take 1 / (2 sqrt(bits)). Shapes: found [R, C, k], score [R, C]. Cost a candidate: search
O(T bits), O(k D) of attention. The distance comes of a product of signs here; a kernel of XOR and popcount makes it O(T), and
without one there is nothing to gain over `twin`'s O(T D) where bits exceed D. State: T (8 D + bits) bytes a user.
Use it where interests are spread over a long history and categories are poor. It finds by angle alone, whatever the attention
learns to look at, and 32 bits are coarse: `twin` searches by the attention's own score.
Paper: Chen et al., 2021 (ETA). Our reading: docs/papers/eta.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned, State
from headrace.nn.fields import FieldShapes
from headrace.nn.search import COUNTS_BELOW, Found, best
from headrace.nn.search_scorer import SearchScorer
from headrace.objectives.choice import learned_choice
from headrace.objectives.long_choice import LongConfig


@config
class ETAConfig(LongConfig):
    bits: Annotated[int, Ge(8), Le(256)] = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        most = COUNTS_BELOW // (self.bits + 1)
        if self.history > most:
            raise ConfigError(
                f"eta: with bits = {self.bits} a history is {most:,} events at most, and is set to {self.history:,}."
            )


class ETA(SearchScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = ETAConfig
    revision = 1
    config: ETAConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def _sought(self, items: Tensor) -> State:
        return {"bits": self._bits(items)}

    def _found(self, state: State, target: Tensor, items: Tensor) -> Found:
        ours, theirs = (2 * bits.float() - 1 for bits in (self._bits(items), state["bits"]))
        alike = (ours @ theirs.transpose(1, 2) + self.config.bits) / 2  # bits less the distance
        return best(alike, state["there"], self.config.kept)

    def _bits(self, items: Tensor) -> Tensor:
        """[..] -> [.., bits] bool."""
        return self._own(items) @ self.planes > 0

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        super()._make(shapes, stages)
        width = self.config.item_dim + self.fields.item_width
        planes = rng(self.seed, "eta", "planes").normal(size=(width, self.config.bits))
        self.register_buffer("planes", torch.from_numpy(planes).float())
        self.planes: Tensor
