"""What a model may learn from: every user's events before a cut, in time order, and the size of the catalogue."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Float32, History, Int64


@dataclass(frozen=True)
class Interactions:
    """history: one row a user (row 0 is the unknown user and empty), oldest event first; `weights` [events].

    Events of one user at one moment form a step: they stand side by side in a seeded order that carries no signal.
    cut_us: exclusive; construction refuses an event at or after it. n_items counts item 0.
    features: name -> [n_items, ...] static item features as of the cut. available [n_items].
    """

    history: History
    n_items: int
    cut_us: int
    weights: Float32
    available: Bool
    features: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.history.at_us) and int(self.history.at_us.max()) >= self.cut_us:
            late = int((self.history.at_us >= self.cut_us).sum())
            raise DataError(f"{late} events are at or after the cut ({self.cut_us} us): nothing past a cut reaches training.")

    @property
    def n_users(self) -> int:
        return len(self.history)

    def item_counts(self) -> Int64:
        """How often each item was chosen, [n_items]."""
        return np.bincount(self.history.items, minlength=self.n_items)

    def before(self, cut_us: int) -> "Interactions":
        """The same log as it stood at an earlier cut."""
        keep = self.history.at_us < cut_us
        counts = np.bincount(self.history.rows()[keep], minlength=self.n_users)
        history = History(np.concatenate([[0], np.cumsum(counts)]), self.history.items[keep], self.history.at_us[keep])
        return replace(self, history=history, weights=self.weights[keep], cut_us=min(cut_us, self.cut_us))
