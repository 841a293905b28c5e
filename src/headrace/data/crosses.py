"""Two categorical features as one: a code for each pair of their codes.

    code = 1 + (a - 1) (size_b - 1) + (b - 1)          0 where either is unknown

Nothing is fitted beyond the two. With more pairs than BUCKETS they share codes by hash, so that no table outgrows memory.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.requests import Int32
from headrace.contracts.rng import mix, seed_of

BUCKETS = 100_000
Cross = tuple[str, str]


def name_of(cross: Cross) -> str:
    """Of one side, "item.colour*size"; of both, "pair.user.city*item.colour"."""
    first, second = cross
    side = side_of(cross)
    return f"{first}*{second.removeprefix(side + '.')}" if side != "pair" else f"pair.{first}*{second}"


def side_of(cross: Cross) -> str:
    """ "user", "item", or "pair" where it needs both."""
    sides = {name.partition(".")[0] for name in cross}
    return sides.pop() if len(sides) == 1 else "pair"


def size_of(cross: Cross, sizes: Mapping[str, int]) -> int:
    pairs = (sizes[cross[0]] - 1) * (sizes[cross[1]] - 1)
    return min(pairs, BUCKETS) + 1


def crossed(first: Int32, second: Int32, cross: Cross, sizes: Mapping[str, int]) -> Int32:
    """Codes of two arrays that broadcast together."""
    wide = sizes[cross[1]] - 1
    pair = (first.astype(np.int64) - 1) * wide + (second - 1)
    if (sizes[cross[0]] - 1) * wide > BUCKETS:
        keyed = mix(np.maximum(pair, 0).astype(np.uint64), seed_of(0, "cross", *cross))
        pair = (keyed % np.uint64(BUCKETS)).astype(np.int64)
    return np.where((first > 0) & (second > 0), pair + 1, 0).astype(np.int32)


def check_crosses(crosses: Sequence[Cross], sizes: Mapping[str, int], bags: Sequence[str]) -> None:
    """ConfigError where a side is no known feature, or a list, of which one row has several codes."""
    for cross in crosses:
        for name in cross:
            if name not in sizes:
                raise ConfigError(
                    f'[features] crosses: "{name}" is not a feature of this log.{nearest(name, sizes)} '
                    f"It has: {listed(sizes, 30)}."
                )
            if name in bags:
                raise ConfigError(
                    f'[features] crosses: "{name}" is a list, of which a row has several values. Cross single values.'
                )
