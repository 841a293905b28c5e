"""What is enough to know of a user's events for agents made of them: votes, the newest event and the sum of vectors, by leaf.

    sums = InterestSums.none(dim).updated(leaves, at_us, values);   sums = sums.updated(one more);   sums.ballot, sums.means
    sums = sums.less(the oldest)            so that they are of the newest events alone, as a request's history is

A soft weight hangs on an event's leaf alone, so a leaf's events stand in for each other: their number and their mean are what
they say, whichever agents there are. Adding an event costs O(G D) for G leaves, however many events there were before; so does
what is kept: 8 (G (D + 3) + 2) bytes.
Sums are float64, for a hundred thousand events are added one by one. An event older than the newest that is held is refused:
votes would be right, ties and the cut of histories would not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64, Int64
from headrace.nn.votes import Ballot


@dataclass(frozen=True, eq=False)
class InterestSums:
    """leaves [G] ascending, 0 (none) first; votes, newest [G]; sums [G, D]; events: so many; newest_us: of the last of them."""

    leaves: Int64
    votes: Int64
    newest: Int64
    sums: Float64
    events: int = 0
    newest_us: int = 0

    @classmethod
    def none(cls, dim: int) -> "InterestSums":
        zero = np.zeros(1, np.int64)
        return cls(zero, zero, zero, np.zeros((1, dim)))

    def updated(self, leaves: Int64, at_us: Int64, values: NDArray[Any]) -> "InterestSums":
        """leaves, at_us [E], oldest first, leaf 0: it has none; values [E, D] -> with these events too."""
        if not len(leaves):
            return self
        before = np.concatenate([[self.newest_us if self.events else at_us[0]], at_us[:-1]])
        late = np.flatnonzero(at_us < before)
        if len(late):
            raise DataError(
                f"events out of order: {len(late)} of {len(leaves)} are older than the one before, the first at place {late[0]}, "
                f"{_when(at_us[late[0]])} after {_when(before[late[0]])}. Sort them by time; to put events in between, make the "
                "state anew of all of them."
            )
        kept = np.union1d(self.leaves, leaves)
        old, new = np.searchsorted(kept, self.leaves), np.searchsorted(kept, leaves)
        votes, newest, sums = np.zeros(len(kept), np.int64), np.zeros(len(kept), np.int64), np.zeros((len(kept), values.shape[1]))
        votes[old], newest[old], sums[old] = self.votes, self.newest, self.sums
        np.add.at(votes, new, 1)
        np.maximum.at(newest, new, self.events + np.arange(len(leaves)))
        np.add.at(sums, new, values.astype(np.float64))
        return InterestSums(kept, votes, newest, sums, self.events + len(leaves), int(at_us[-1]))

    def less(self, leaves: Int64, values: NDArray[Any]) -> "InterestSums":
        """Without the oldest events, which are these: leaves [E], values [E, D] as they were added.

        Sums of float32 values are exact in float64 unless they differ 2²⁹ times in size, so what goes leaves nothing behind.
        """
        if not len(leaves):
            return self
        at = np.searchsorted(self.leaves, leaves)
        votes, sums = self.votes.copy(), self.sums.copy()
        np.subtract.at(votes, at, 1)
        np.subtract.at(sums, at, values.astype(np.float64))
        sums[votes == 0] = 0.0
        kept = (votes > 0) | (self.leaves == 0)
        newest = np.maximum(self.newest - len(leaves), 0)
        return InterestSums(
            self.leaves[kept], votes[kept], newest[kept], sums[kept], self.events - len(leaves), self.newest_us
        )  # fmt: skip

    @property
    def ballot(self) -> Ballot:
        """[1, G]; events without a leaf have no say."""
        votes = np.where(self.leaves > 0, self.votes, 0)
        leaves, counted, newest = (torch.from_numpy(one).unsqueeze(0) for one in (self.leaves, votes, self.newest))
        return Ballot(leaves, counted, newest, self.events + 1)

    @property
    def means(self) -> Tensor:
        """[1, G, D]."""
        return torch.from_numpy(self.sums / np.maximum(self.votes, 1)[:, None]).float().unsqueeze(0)

    @property
    def mean(self) -> Tensor:
        """[1, D]: of all events, those without a leaf too."""
        return torch.from_numpy(self.sums.sum(0) / max(self.events, 1)).float().unsqueeze(0)

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in self.arrays().values())

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        seen = np.array([self.events, self.newest_us], np.int64)
        return {"leaves": self.leaves, "votes": self.votes, "newest": self.newest, "sums": self.sums, "seen": seen}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "InterestSums":
        events, newest_us = (int(value) for value in arrays["seen"])
        return cls(arrays["leaves"], arrays["votes"], arrays["newest"], arrays["sums"], events, newest_us)


def _when(at_us: Any) -> str:
    return datetime.fromtimestamp(int(at_us) / 1e6, UTC).isoformat(timespec="seconds")
