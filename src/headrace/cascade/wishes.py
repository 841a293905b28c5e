"""Does a page follow what its users say they want? The same users' pages without a wish, with it, and with its opposite.

    share(category) = of a page's items, those in it;   difference = with the wish - without, paired by user, with its interval

The users are drawn, seeded, from those with a history; the moment is the end of the log. Pages are what a server would show,
chance and all, by the same seed in each arm. Cost: an answer a user and wish, and one without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from headrace.cascade.categories import category_bags
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.errors import ConfigError, listed
from headrace.contracts.requests import Float64, Int32
from headrace.contracts.rng import rng
from headrace.data.vocabulary import Vocabulary
from headrace.encode.preferences import read
from headrace.evaluate.bootstrap import Difference, Means, mean_intervals, paired_difference

_AT_ONCE = 64


@dataclass(frozen=True)
class Followed:
    """One category under one wish. wanted: +1 or -1 where the wish names it, 0 where it does not."""

    wish: str
    category: str
    wanted: int
    without: Means
    share: Means
    difference: Difference

    @property
    def holds(self) -> bool:
        """Whether it moved the way it was wished, beyond its interval."""
        return self.difference.lo > 0 if self.wanted > 0 else self.difference.hi < 0 if self.wanted < 0 else False


def followed(
    pipeline: Pipeline, wishes: Sequence[str], *, categories: Sequence[str] = (), users: int = 200, seed: int = 0
) -> list[Followed]:
    """categories: those that are looked at beside the ones that the wishes name."""
    names, bags = category_bags(pipeline.log)
    named = {wish: named_in(wish, names) for wish in wishes}
    looked_at = list(dict.fromkeys([*(name for found in named.values() for name in found), *categories]))
    known = names.ids.to_list()
    if not looked_at or (unknown := [name for name in looked_at if name not in known]):
        wrong = f'"{unknown[0]}" is no category' if looked_at else "no category of the catalogue is named in the wish"
        raise ConfigError(f"{pipeline.plan.where}: {wrong}. Name one of: {listed(known[:20])}.")
    drawn = _users(pipeline, users, seed)
    pages = {wish: _pages(pipeline, drawn, wish, seed) for wish in ("", *wishes)}
    found = []
    for wish in wishes:
        for name in looked_at:
            number = int(names.encode([name])[0])
            before, after = (_share(pages[one], bags, number) for one in ("", wish))
            found.append(
                Followed(
                    wish, name, named[wish].get(name, 0), mean_intervals(drawn, before[:, None]),
                    mean_intervals(drawn, after[:, None]), paired_difference(drawn, after, before),
                )
            )  # fmt: skip
    return found


def named_in(wish: str, names: Vocabulary) -> Mapping[str, int]:
    """The categories that a wish's instructions name, with the polarity each has there: "comedies" is Comedy."""
    folded = {name.lower(): name for name in reversed(names.ids.to_list())}
    found: dict[str, int] = {}
    for instruction in read(wish).instructions:
        for word in [instruction.about, *instruction.about.split()]:
            for close in get_close_matches(word.lower(), folded, n=1, cutoff=0.7):
                found.setdefault(folded[close], instruction.polarity)
    return found


def _users(pipeline: Pipeline, users: int, seed: int) -> Int32:
    there = np.flatnonzero(pipeline.log.store.events.lengths > 0)
    drawn: Int32 = np.sort(rng(seed, "users with wishes").permutation(there)[:users]).astype(np.int32)
    return drawn


def _pages(pipeline: Pipeline, users: Int32, wish: str, seed: int) -> Int32:
    """[users, slots]."""
    cascade, found = pipeline.cascade(), []
    for start in range(0, len(users), _AT_ONCE):
        part = users[start : start + _AT_ONCE]
        requests = pipeline.requests_of(part, np.full(len(part), pipeline.cuts.last_us + 1))
        found.append(cascade.act(pipeline.with_preferences(requests, [wish or None] * len(part)), seed=seed).items)
        pipeline.graph.progress(f"pages {wish or 'without a wish'}", start + len(part), len(users))
    return np.concatenate(found)


def _share(pages: Int32, bags: Int32, category: int) -> Float64:
    """[users]."""
    shown = pages > 0
    share: Float64 = ((bags[pages] == category).any(2) & shown).sum(1) / np.maximum(shown.sum(1), 1)
    return share
