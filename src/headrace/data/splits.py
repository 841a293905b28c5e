"""[split]: which events are learned from and which are asked about, as nested cuts of one clock.

    |-- fit ------------|-- valid --|-- prerank --|-- rank --|-- test --|
    first             valid_us    prerank_us    rank_us    test_us     last

Retrievers that tune themselves fit on `fit` and watch `valid`; the pre-ranker trains on what they propose in `prerank`, the
ranker on what both leave in `rank` (in `prerank` and `rank` where there is no pre-ranker); then retrievers are refitted on
everything before `test_us`. Nothing is ever fitted on an event at or after `test_us`. A cut is a moment, so a step (a user's
events at one moment) falls whole on one side of it.

The clock is time, or each user's steps counted from their end (`data.step_clock`): leave-last and by user are cuts of that one.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Lt

from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64, Int64
from headrace.contracts.rng import mix, seed_of, stable_hash, uniform
from headrace.data.clocks import Clock
from headrace.data.vocabulary import Vocabulary

Share = Annotated[float, Ge(0.0), Lt(1.0)]
Kind = Literal["global_temporal", "leave_last", "by_user"]
_NAMES = {
    "global_temporal": "global temporal",
    "leave_last": "leave-last (leaks across users in time)",
    "by_user": "by user (leaks across users in time)",
}
_LONG = 100
_NTH = ("last", "second last", "third last", "fourth last")


@config
class SplitConfig:
    """[split] in TOML. Shares of the events, newest last; by user, test_share is of the users, and leave-last takes none."""

    kind: Kind = "global_temporal"
    valid_share: Share = 0.05
    prerank_share: Share = 0.1
    rank_share: Share = 0.1
    test_share: Share = 0.1

    def __post_init__(self) -> None:
        taken = {"global_temporal": ("valid", "prerank", "rank", "test"), "leave_last": (), "by_user": ("test",)}[self.kind]
        for name in ("valid", "prerank", "rank", "test"):
            default = getattr(type(self), f"{name}_share")
            if name not in taken and getattr(self, f"{name}_share") != default:
                raise ValueError(f'kind "{self.kind}" cuts by steps, one a window, so {name}_share has no place. Leave it out.')

    @property
    def by_steps(self) -> bool:
        """Whether cuts are of each user's steps, and not of time."""
        return self.kind != "global_temporal"

    def name(self, clock: Clock) -> str:
        """As every table has it: with what the split leaks, and what the log's order is."""
        return _NAMES[self.kind] + (" of a log without times: the file's order is the signal" if clock == "ordinal" else "")


@config
class Cuts:
    """Moments in UTC microseconds; each window holds the events at or after its first moment and before the next.

    asked_us: what is asked about begins here; after test_us where held-out users' earlier steps lie between. newest_step_us: None
    where moments are times; else they are counts of steps, and this one is the last step of those who are learned from.
    """

    first_us: int
    valid_us: int
    prerank_us: int
    rank_us: int
    test_us: int
    asked_us: int
    last_us: int
    newest_step_us: int | None = None

    def says(self, start_us: int, end_us: int) -> str:
        """A window, end exclusive, in words."""
        if self.newest_step_us is None:
            return f"{_day(start_us)} to {_day(end_us)}"
        first, last = (_NTH[max(self.newest_step_us - place, 0)] for place in (start_us, end_us - 1))
        whose = "each held-out user's" if start_us >= self.asked_us > self.test_us else "each user's"
        return f"{whose} {first} step" if first == last else f"{whose} {first} to {last} steps"


def temporal_cuts(at_us: Int64, split: SplitConfig) -> Cuts:
    """The moments that leave the asked shares of events behind them, ties kept whole."""
    shares = (split.valid_share, split.prerank_share, split.rank_share, split.test_share)
    valid_us, prerank_us, rank_us, test_us = moments(at_us, shares)
    first_us, last_us = int(at_us.min()), int(at_us.max())
    return Cuts(
        first_us=first_us, valid_us=valid_us, prerank_us=prerank_us, rank_us=rank_us, test_us=test_us,
        asked_us=test_us, last_us=last_us,
    )  # fmt: skip


def moments(at_us: Int64, shares: Sequence[float]) -> list[int]:
    """Where each window begins that holds its share of the events, oldest first; what comes before them all is learned from.

    DataError where ties leave a window, or what comes before, empty.
    """
    if not len(at_us):
        raise DataError("events: there are none, so there is nothing to split. Check the file and the quarantine.")
    times = np.sort(at_us)
    after = np.cumsum(shares[::-1])[::-1]
    found = [int(times[np.clip(int(len(times) * (1 - share)), 0, len(times) - 1)]) for share in after]
    if not all(early < late for early, late in zip([int(times[0]), *found], found, strict=False)):
        raise DataError(
            f"events: a split by time needs {len(found) + 1} windows with different times, and these {len(times)} events span "
            f"{(int(times[-1]) - int(times[0])) / 86_400e6:.2f} days with {len(np.unique(times))} different times. "
            "Give a longer log, or other shares."
        )
    return found


def user_draw(users: Vocabulary, seed: int) -> Float64:
    """What decides who is held out, in [0, 1), [users]: a hash of each id, so that a user stays on one side whoever else is in
    the log."""
    keys = np.full(len(users), stable_hash([""])[0])
    long = (users.ids.str.len_chars() > _LONG).to_numpy()
    for part in (np.flatnonzero(~long), np.flatnonzero(long)):  # an array of texts is as wide as its longest in every row
        keys[part + 1] = stable_hash(users.ids.gather(part).to_list())
    return uniform(mix(keys, seed_of(seed, "split by user")))


def _day(time_us: int) -> str:
    return str(np.datetime64(time_us, "us").astype("datetime64[D]"))
