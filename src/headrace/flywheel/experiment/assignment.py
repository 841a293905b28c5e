"""Which arm a unit is in: a function of its id and two salts, so no list of assignments is kept and none can be lost.

    in the experiment   span.lo <= u(layer, unit) < span.hi
    its arm             argmin over arms of  -log u(salt, arm, unit) / weight      (weighted rendezvous hashing)

u is a hash read as a uniform draw in (0, 1). The smallest of exponential draws with rates w falls on an arm with chance w / Σw.
A draw hangs on its own arm's name and on nothing else. So:
- raising one arm's weight, or adding an arm, moves units into that arm only; lowering or removing one moves its own units only;
- widening the span keeps every unit where it is;
- experiments with different salts are independent; experiments of one layer with spans that don't overlap share no unit.

A unit that changes arm while an experiment runs has seen both and is refused by the analysis: change weights between experiments.
Cost O(units × (arms + longest id)).
Sources: Schindelhauer and Schomaker, Weighted distributed hash tables, SPAA 2005; Tang et al., Overlapping experiment
infrastructure, KDD 2010 (layers).
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Bool, Float64, Int32
from headrace.contracts.rng import mix, stable_hash, uniform

OUTSIDE = -1
Ids = Sequence[str] | NDArray[np.str_]


@config
class Arm:
    """weight: its share is weight / sum of weights. generation: of a served run, the number of the one that answers for it."""

    name: str
    weight: Annotated[float, Gt(0)] = 1.0
    generation: Annotated[int, Gt(0)] | None = None


@config
class Allocation:
    """salt: the experiment's id as a rule. layer: experiments that must not share units have one layer and disjoint spans.

    span: the part of the layer's traffic that enters, [lo, hi) in [0, 1].
    """

    salt: str
    arms: tuple[Arm, ...]
    layer: str = "default"
    span: tuple[Annotated[float, Ge(0), Le(1)], Annotated[float, Ge(0), Le(1)]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        names = self.names
        if len(names) < 2 or len(set(names)) < len(names):
            raise ConfigError(f"arms are {list(names)}: an experiment needs two or more, each with a name of its own.")
        if not self.span[0] < self.span[1]:
            raise ConfigError(f"span is {list(self.span)}: it must be [lo, hi] with lo < hi.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(arm.name for arm in self.arms)

    @property
    def shares(self) -> Float64:
        """[arms], sum 1."""
        weights = np.array([arm.weight for arm in self.arms], np.float64)
        shares: Float64 = weights / weights.sum()
        return shares


def assign(allocation: Allocation, ids: Ids) -> Int32:
    """The index into allocation.arms, [n], OUTSIDE for units that are not in the experiment."""
    units = stable_hash(np.asarray(ids, np.str_))
    draws = np.stack([_draw(units, f"{allocation.salt}\x1f{arm.name}") for arm in allocation.arms])
    arms = (-np.log(draws) / allocation.shares[:, None]).argmin(0).astype(np.int32)
    return np.where(_enters(allocation, units), arms, np.int32(OUTSIDE))


def _enters(allocation: Allocation, units: NDArray[np.uint64]) -> Bool:
    position = _draw(units, f"\x1elayer\x1f{allocation.layer}")
    return (allocation.span[0] <= position) & (position < allocation.span[1])


def _draw(units: NDArray[np.uint64], salt: str) -> Float64:
    draws: Float64 = uniform(mix(units, stable_hash([salt])))
    return draws
