"""Pages being filled, all requests at once: who may stand in the next slot, and how likely."""

import math

import numpy as np

from headrace.contracts.requests import Float64, Int64
from headrace.methods.page.explore.diversity import Caps, Likeness
from headrace.methods.page.explore.settings import ExploreConfig


class Filling:
    """score [R, K]: -inf for what may not be drawn. pins [R, slots]: a place among the candidates, or -1; None for no pins."""

    def __init__(self, config: ExploreConfig, score: Float64, pins: Int64 | None, caps: Caps | None, likeness: Likeness | None):
        self.config, self.score, self.caps, self.likeness = config, score, caps, likeness
        self.rows = np.arange(len(score))
        self.pins = {} if pins is None else {slot: pins[:, slot] for slot in np.flatnonzero((pins >= 0).any(0)).tolist()}
        for places in self.pins.values():
            rows = self.rows[places >= 0]
            self.score[rows, places[rows]] = -np.inf  # kept for its slot
            if caps is not None:  # counted before the first draw: what is drawn above a pin leaves room for it
                caps.add(rows, places[rows])
        if caps is not None and self.pins:
            self.score[caps.full()] = -np.inf
        if likeness is not None:
            self.spread = _spread(self.score)
            self.nearest = np.full(score.shape, -1.0)

    @property
    def scores_alone(self) -> bool:
        """Nothing else decides: no pin, no cap, no likeness."""
        return not self.pins and self.caps is None and self.likeness is None

    def chances(self, slot: int) -> Float64:
        """[R, K], each row summing to 1, or to 0 where nothing is allowed any more."""
        score = self.score
        if self.likeness is not None:
            diverse = (1 - self.config.mmr) * np.maximum(score, -1e300) - self.config.mmr * self.spread * self.nearest
            score = np.where(score > -np.inf, diverse, -np.inf)
        # ufuncs of themselves: at a request's few candidates an array's methods take longer than what they do
        best = np.maximum.reduce(score, 1, keepdims=True)
        some = best > -np.inf
        if self.config.temperature > 0:
            weight = np.exp((score - (best if some.all() else np.where(some, best, 0.0))) / self.config.temperature)
        else:
            weight = np.zeros(score.shape)
            weight[self.rows, score.argmax(1)] = some[:, 0]
        chances: Float64 = weight / np.maximum(np.add.reduce(weight, 1, keepdims=True), 1e-300)
        if self.config.epsilon > 0:
            allowed = score > -np.inf
            spread = allowed / np.maximum(np.add.reduce(allowed, 1, keepdims=True, dtype=np.int64), 1)
            chances *= 1 - self.config.epsilon
            spread *= self.config.epsilon
            chances += spread
        if slot in self.pins:
            rows = self.rows[self.pins[slot] >= 0]
            chances[rows] = 0.0
            chances[rows, self.pins[slot][rows]] = 1.0
        return chances

    def put(self, slot: int, places: Int64) -> None:
        """places [R]; -1 leaves the slot empty."""
        rows = self.rows[places >= 0]
        at = places[rows]
        self.score[rows, at] = -np.inf
        if self.caps is not None:
            drawn = at != self.pins[slot][rows] if slot in self.pins else slice(None)
            self.caps.add(rows[drawn], at[drawn])
            self.score[self.caps.full()] = -np.inf
        if self.likeness is not None:
            self.nearest[rows] = np.maximum(self.nearest[rows], self.likeness.to(rows, at))


def _spread(score: Float64) -> Float64:
    """The standard deviation of each row's scores, 1 where they are all equal, [R, 1]."""
    there = score > -np.inf
    count = np.maximum(there.sum(1, keepdims=True), 1)
    known = np.where(there, score, 0.0)
    away = np.where(there, known - known.sum(1, keepdims=True) / count, 0.0)
    deviation = np.sqrt((away**2).sum(1, keepdims=True) / count)
    return np.where(deviation > 0, deviation, 1.0)


def filled_alone(config: ExploreConfig, score: Float64, draws: Float64) -> tuple[list[int], list[float]]:
    """A page of one request, with nothing to look at but scores [K], which are used up: (places, chances), to the bit what
    `Filling` makes of it, in a third of the steps. draws [slots]: uniform ones."""
    places, chances_of, left = [], [], int(np.count_nonzero(score > -np.inf))
    for drawn in draws.tolist():
        if not left:
            places.append(-1)
            chances_of.append(1.0)
            continue
        if config.temperature > 0:
            chances = np.exp((score - np.maximum.reduce(score)) / config.temperature)
            chances /= np.add.reduce(chances)
        else:
            chances = np.zeros(len(score))
            chances[score.argmax()] = 1.0
        if config.epsilon > 0:
            chances *= 1 - config.epsilon
            np.add(chances, config.epsilon * (1 / left), out=chances, where=score > -np.inf)
        total = np.add.accumulate(chances)
        whole = float(total[-1])
        if not whole > 0:  # an endless score leaves no chances
            places.append(-1)
            chances_of.append(1.0)
            continue
        place = int(total.searchsorted(min(drawn * whole, math.nextafter(whole, 0.0)), "right"))
        places.append(place)
        chances_of.append(float(chances[place]))
        score[place] = -np.inf
        left -= 1
    return places, chances_of
