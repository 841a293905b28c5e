"""What a frozen model made of each of an entity's samples, added up as they come: the coarse form that can be handed on.

    S(e) <- decay * S(e) + CR(u, i)          after every sample of e; decay = `per_sample`, or 2 ^ (-gap / half_life)
    CR(e) = LN(S(e))

The sum's norm grows with how active an entity is, so it is standardised after the sum, never before it: two entities of one
taste and another number of samples are then alike. Time that passes after the last sample scales all of S, which LN undoes.
A state holds from just after its moment: a row that asks at that very moment must not see it (`States.at`).
Shapes: entities [N], at_us [N], values [N, D], rows in time order -> sums [N, D]. Cost: O(N D), in as many numpy steps as the
busiest entity has rows in a call; memory n_entities x D. The same numbers as one row at a time, to the last bit.
`leaking` is the public code's form, one aggregate over everything, which shows a row what came after it: to be reported beside
the other in an experiment, and for nothing else.
Paper: LFM4Ads (arXiv 2508.14948), section 3.
"""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from headrace.contracts.config import config
from headrace.contracts.requests import Float32, Float64, Int32, Int64
from headrace.data.foundation import States

_DAY_US = 86_400_000_000
ALWAYS = int(np.iinfo(np.int64).min)
"""The moment of a state that holds from the beginning."""


@config
class Decay:
    """by: the number of samples since, or the time since."""

    by: Literal["count", "time"] = "count"
    per_sample: Annotated[float, Gt(0), Le(1)] = 0.99
    half_life_days: Annotated[float, Gt(0)] = 7.0


class Aggregator:
    """sums [n_entities, D], float64; last_us [n_entities]: of each one's newest sample."""

    def __init__(self, n_entities: int, width: int, decay: Decay):
        self.decay = decay
        self.sums = np.zeros((n_entities, width))
        self.last_us = np.zeros(n_entities, np.int64)
        self.seen = np.zeros(n_entities, np.bool_)

    def add(self, entities: Int32, at_us: Int64, values: Float32) -> Float64:
        """Each row's sum, itself included, [N, D]. Rows are in time order, and none is older than an earlier call's of its
        entity."""
        found = np.empty(values.shape)
        for rows in rounds(entities):
            mine = entities[rows]
            found[rows] = self.sums[mine] * self._kept(mine, at_us[rows])[:, None] + values[rows]
            self.sums[mine], self.last_us[mine], self.seen[mine] = found[rows], at_us[rows], True
        return found

    def _kept(self, entities: Int32, at_us: Int64) -> Float64:
        if self.decay.by == "count":
            return np.full(len(entities), self.decay.per_sample)
        gap_us = np.where(self.seen[entities], at_us - self.last_us[entities], 0)
        kept: Float64 = np.exp2(-gap_us / (self.decay.half_life_days * _DAY_US))
        return kept


def rounds(entities: Int32) -> list[Int64]:
    """Rows with no entity twice: the first of every entity, the second of those that have one, and so on."""
    if not len(entities):
        return []
    order = np.argsort(entities, kind="stable")
    begins = np.flatnonzero(np.diff(entities[order], prepend=entities[order[0]] - 1))
    nth = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    by_nth = np.argsort(nth, kind="stable")
    return np.split(order[by_nth], np.cumsum(np.bincount(nth))[:-1])


def standardised(sums: Float64) -> Float32:
    """LN without weights. Sums that are alike in all places come to nothing, as those of nothing do."""
    centred = sums - sums.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True))
    alike = spread <= 1e-9 * np.abs(sums).max(-1, keepdims=True)  # what is left of them is rounding
    found: Float32 = np.where(alike, 0, centred / np.where(alike, 1, spread)).astype(np.float32)
    return found


def leaking(entities: Int32, at_us: Int64, values: Float32, n_entities: int, decay: Decay) -> Float32:
    """[n_entities, D]: one aggregate over everything, past and future of each row alike."""
    whole = Aggregator(n_entities, values.shape[1], decay)
    whole.add(entities, at_us, values)
    return standardised(whole.sums)


def states_of(entities: Int32, at_us: Int64, values: Float32, n_entities: int) -> States:
    """From rows in time order. Of an entity's rows at one moment the last is kept."""
    order = np.lexsort((np.arange(len(entities)), at_us, entities))
    entities, at_us = entities[order], at_us[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (entities[1:] != entities[:-1]) | (at_us[1:] != at_us[:-1])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(entities[last], minlength=n_entities))]).astype(np.int64)
    return States(offsets, at_us[last], values[order[last]])
