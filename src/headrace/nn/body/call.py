"""What comes in, what goes out, and what one pass hands from layer to layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from headrace.nn.attention.attend import FULL, Backend
from headrace.nn.attention.masks import MaskSpec
from headrace.nn.attention.places import Bias, Places
from headrace.nn.body.cache import Cache
from headrace.nn.positions.rotary import Turn


@dataclass(frozen=True)
class Inputs:
    """Tokens of B rows, the new ones alone where a cache holds the rest; padding stands behind.

    ids [B, T]; or vectors [B, T, d] instead; or both, where `slots` [B, T] marks the places that take a vector.
    side: name -> ids [B, T]. there [B, T]: what is no padding, over the cached part too. prefix [B]: so many first tokens are
    seen by all (decoder). mask: what else limits attention. branch [B, T]: each token's branch. adapter [B]: 0 for none, else
    the number of the config's adapter, from 1.
    """

    ids: Tensor | None = None
    vectors: Tensor | None = None
    slots: Tensor | None = None
    side: Mapping[str, Tensor] = field(default_factory=dict)
    there: Tensor | None = None
    prefix: Tensor | None = None
    mask: MaskSpec = FULL
    branch: Tensor | None = None
    adapter: Tensor | None = None
    backend: Backend = "auto"


@dataclass(frozen=True)
class Hidden:
    """last [B, T, d]. exits: layer -> [B, T, d]. balance: the experts' loss, a mean over their layers, 0 without experts.

    chosen: of each layer of experts, each token's [B, T, top_k]: what routing fluctuation and collapse are measured on.
    """

    last: Tensor
    exits: Mapping[int, Tensor]
    balance: Tensor
    chosen: tuple[Tensor, ...] = ()


@dataclass
class Call:
    """One pass through a stack. counted [B, T]: which of its tokens are no padding, None for all."""

    places: Places
    whole: MaskSpec
    limited: MaskSpec
    backend: Backend
    dropout: float
    cache: Cache | None = None
    before: Places | None = None
    """Where the queries of all rows and the keys of a shared prefix stand."""
    turn: Turn | None = None
    bias: Bias | None = None
    branch: Tensor | None = None
    adapter: Tensor | None = None
    counted: Tensor | None = None
    memory: Tensor | None = None
    memory_mask: MaskSpec = FULL
    memory_branch: Tensor | None = None
    balance: list[Tensor] = field(default_factory=list)
    chosen: list[Tensor] = field(default_factory=list)

    @property
    def of_memory(self) -> "Call":
        """The same call, over the encoder's tokens."""
        return replace(self, branch=self.memory_branch)
