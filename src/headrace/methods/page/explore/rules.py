"""Business rules as numbers: which hold for a request, and what each does to its candidates.

    block, block_category   the item is not shown, whatever else holds
    pin                     the item stands in its slot, with propensity 1. It is not drawn elsewhere; no cap, score or likeness
                            keeps it out. It yields, and its slot is drawn as any other, where the item is blocked or in the
                            request's "exclude", where it is no candidate, or where a rule above it has the slot or the item
    boost_category          score + log(factor), before the temperature: the odds against what is not boosted are factor times as
                            high at T = 1 and factor^(1/T) at T. Several boosts of an item multiply; below 1 they hold it back

Candidates are what a person may be shown, so a pin of what was seen, or is withdrawn, yields by not being one; `with_pins` adds
those that may be shown and were not retrieved. Rules are few: costs are a pass over the candidates for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.requests import Allowed, Bool, Candidates, Float64, Int32, Int64, Requests
from headrace.data.vocabulary import Vocabulary
from headrace.methods.page.explore.settings import Rule


@dataclass(frozen=True)
class Rules:
    """numbers [n]: the item that a pin or a block names, else 0. members [n][n_items]: what a category rule's category holds."""

    rules: tuple[Rule, ...] = ()
    numbers: tuple[int, ...] = ()
    members: tuple[Bool | None, ...] = ()

    def in_force(self, requests: Requests) -> Bool:
        """[R, n]. A rule for one surface holds where requests carry that one as their feature "surface"."""
        held = np.empty((len(requests), len(self.rules)), np.bool_)
        surfaces = requests.features.get("surface")
        for place, rule in enumerate(self.rules):
            held[:, place] = (requests.at_us >= rule.since_us) & (requests.at_us < rule.until_us)
            if rule.surface is not None:
                held[:, place] &= False if surfaces is None else surfaces == rule.surface
        return held

    def blocked(self, items: Int32, held: Bool) -> Bool:
        """items [R, K] -> [R, K]."""
        shut = np.zeros(items.shape, np.bool_)
        single = [place for place, rule in enumerate(self.rules) if rule.block is not None]
        if single:
            named = np.where(held[:, single], np.array(self.numbers)[single], -1)  # [R, blocks]
            shut |= (items[:, :, None] == named[:, None, :]).any(2)
        for place, members in enumerate(self.members):
            if members is not None and self.rules[place].block_category is not None:
                shut |= members[items] & held[:, place, None]
        return shut

    def boost(self, items: Int32, held: Bool) -> Float64:
        """What is added to the scores, [R, K]."""
        added = np.zeros(items.shape)
        for place, members in enumerate(self.members):
            factor = self.rules[place].factor
            if members is not None and factor is not None:
                added += np.log(factor) * (members[items] & held[:, place, None])
        return added

    def pins(self, items: Int32, may: Bool, held: Bool, slots: int) -> Int64:
        """The place among the candidates of what is pinned to each slot, [R, slots], -1 for none. may [R, K]: not blocked."""
        places = np.full((len(items), slots), -1)
        rows = np.arange(len(items))
        for rule, number, holds in zip(self.rules, self.numbers, held.T, strict=True):
            if rule.slot is None:
                continue
            match = (items == number) & may
            place = match.argmax(1)
            free = (places[:, rule.slot - 1] < 0) & (places != place[:, None]).all(1)
            wins = holds & match[rows, place] & free
            places[wins, rule.slot - 1] = place[wins]
        return places

    def acted(self, shown: Int32, held: Bool) -> Bool:
        """Which rules had a say in each item shown, [R, S] -> [R, S, n]: a pin alone where there is one."""
        acted = np.zeros((*shown.shape, len(self.rules)), np.bool_)
        free = np.ones(shown.shape, np.bool_)
        for place, rule in enumerate(self.rules):
            if rule.slot is not None and rule.slot <= shown.shape[1]:
                slot = rule.slot - 1
                acted[:, slot, place] = (shown[:, slot] == self.numbers[place]) & held[:, place] & free[:, slot]
                free[:, slot] &= ~acted[:, slot, place]
        for place, members in enumerate(self.members):
            if members is not None and self.rules[place].factor is not None:
                acted[:, :, place] = members[shown] & held[:, place, None] & free
        return acted

    def with_pins(self, requests: Requests, candidates: Candidates, allowed: Allowed) -> Candidates:
        """With columns for pinned items that may be shown and are no candidates yet, at the end and without a score."""
        held = self.in_force(requests)
        seen = allowed.blocked
        columns = []
        for number in dict.fromkeys(
            number for rule, number in zip(self.rules, self.numbers, strict=True) if rule.pin is not None
        ):
            if allowed.items is not None and not allowed.items[number]:
                continue
            mine = [p for p, rule in enumerate(self.rules) if rule.pin is not None and self.numbers[p] == number]
            wanted = held[:, mine].any(1) & (candidates.items != number).all(1)
            if seen is not None:
                wanted &= np.bincount(seen.rows()[seen.items == number], minlength=len(requests)) == 0
            if wanted.any():
                columns.append(np.where(wanted, number, 0).astype(np.int32))
        if not columns:
            return candidates
        silent = np.full((len(requests), len(columns)), np.nan, np.float32)
        scores = {stage: np.concatenate([values, silent], 1) for stage, values in candidates.scores.items()}
        return Candidates(np.concatenate([candidates.items, np.stack(columns, 1)], 1), scores)


def resolve(
    rules: Sequence[Rule],
    items: Vocabulary,
    categories: Vocabulary | None = None,
    bags: Int32 | None = None,
    *,
    where: str = "[page.explore.rules]",
) -> Rules:
    """Ids and names to numbers; ConfigError names the nearest to an unknown one. bags [n_items, W]: numbers of `categories`."""
    numbers, members = [], []
    for place, rule in enumerate(rules, 1):
        of_item = rule.action in ("pin", "block")
        known = items if of_item else categories
        if known is None or (not of_item and bags is None):
            raise ConfigError(
                f"{where}: rule {place} names the category {rule.target!r}, and the items have no categories. "
                'Add a column "categories" to the items table, or leave the rule out.'
            )
        number = int(known.encode([rule.target])[0])
        if number == 0:
            ids = known.ids.to_list()
            raise ConfigError(
                f'{where}: rule {place}: {rule.action} = "{rule.target}" is no {"item" if of_item else "category"}.'
                f"{nearest(rule.target, ids)} There are {len(ids)}: {listed(ids)}."
            )
        numbers.append(number if of_item else 0)
        members.append(None if of_item or bags is None else (bags == number).any(1))
    return Rules(tuple(rules), tuple(numbers), tuple(members))
