"""Cuts in time. A cut is a moment, so a step (a user's events at one moment) falls whole on one side of it.

    |-- fit ------------|-- valid --|-- prerank --|-- rank --|-- test --|
    first             valid_us    prerank_us    rank_us    test_us     last

Retrievers that tune themselves fit on `fit` and watch `valid`; the pre-ranker trains on what they propose in `prerank`, the
ranker on what both leave in `rank` (in `prerank` and `rank` where there is no pre-ranker); then retrievers are refitted on
everything before `test_us`. Nothing is ever fitted on an event at or after `test_us`.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Int64

Share = Annotated[float, Ge(0.0), Lt(1.0)]


@config
class SplitConfig:
    """Shares of the events, newest last: [split] in TOML."""

    valid_share: Share = 0.05
    prerank_share: Share = 0.1
    rank_share: Share = 0.1
    test_share: Share = 0.1


@config
class Cuts:
    """Moments in UTC microseconds; each window holds the events at or after its first moment and before the next."""

    first_us: int
    valid_us: int
    prerank_us: int
    rank_us: int
    test_us: int
    last_us: int


def temporal_cuts(at_us: Int64, shares: SplitConfig) -> Cuts:
    """The moments that leave the asked shares of events behind them, ties kept whole."""
    if not len(at_us):
        raise DataError("events: there are none, so there is nothing to split. Check the file and the quarantine.")
    times = np.sort(at_us)
    shares_after = np.cumsum([shares.test_share, shares.rank_share, shares.prerank_share, shares.valid_share])
    places = [min(int(len(times) * (1 - share)), len(times) - 1) for share in shares_after]
    test_us, rank_us, prerank_us, valid_us = (int(times[place]) for place in places)
    first_us, last_us = int(times[0]), int(times[-1])
    if not first_us < valid_us < prerank_us < rank_us < test_us <= last_us:
        raise DataError(
            f"events: a split by time needs five windows with different times, and these {len(times)} events span "
            f"{(last_us - first_us) / 86_400e6:.2f} days with {len(np.unique(times))} different times. "
            "Give a longer log, or other shares in [split]."
        )
    return Cuts(first_us=first_us, valid_us=valid_us, prerank_us=prerank_us, rank_us=rank_us, test_us=test_us, last_us=last_us)
