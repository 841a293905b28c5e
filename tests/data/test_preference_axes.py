"""The five axes against their definitions, written out in loops, on small drawn catalogues."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.requests import History
from headrace.data.histories import HistoryStore
from headrace.data.preference_axes import (
    Pool,
    Targets,
    Wishes,
    consolidation,
    inverted,
    recommendation,
    sentiment,
    steering,
    with_inverses,
)  # fmt: skip
from headrace.data.preference_templates import Phrases, templates
from headrace.data.preferences import Opinions

USERS, ITEMS, DIM = 6, 9, 4


class Drawn:
    """A small log with opinions, templates and vectors."""

    def __init__(self, seed: int):
        draw = np.random.default_rng(seed)
        n = 40
        users, items = draw.integers(1, USERS, n).astype(np.int32), draw.integers(1, ITEMS, n).astype(np.int32)
        at_us = draw.permutation(n).astype(np.int64)
        self.opinions = Opinions.of_events(users, items, at_us, draw.integers(-1, 2, n), USERS, seed)
        self.phrases = phrases = Phrases(draw.integers(0, 7, (ITEMS, 3)).astype(np.int32), tuple(f"phrase{n}" for n in range(7)))
        self.preferences = templates(self.opinions, phrases)
        texts, polarity, inverse = with_inverses(self.preferences)
        self.pool = Pool(texts, polarity, draw.normal(size=(len(texts), DIM)).astype(np.float32), inverse)
        self.wishes = Wishes(self.opinions, self.preferences, self.pool)
        self.items = draw.normal(size=(ITEMS, DIM)).astype(np.float32)
        events = self.opinions.events
        self.targets = Targets(
            events.rows().astype(np.int32), events.at_us, events.items,
            HistoryStore(events).as_of(events.rows().astype(np.int32), events.at_us),
        )  # fmt: skip

    def own(self, target: int) -> list[int]:
        ids = self.preferences.as_of(self.targets.users[[target]], self.targets.at_us[[target]])[0]
        return [one for one in ids.tolist() if one >= 0]

    def best(self, vector: np.ndarray, among: list[int]) -> list[int]:
        return sorted(among, key=lambda one: -float(self.pool.vectors[one] @ vector))

    @property
    def findable(self) -> list[int]:
        return [one for one in range(len(self.pool.texts)) if self.pool.polarity[one] > 0]


def rows_of(history: History) -> list[list[int]]:
    return [history.items[a:b].tolist() for a, b in zip(history.offsets, history.offsets[1:], strict=False)]


@given(st.integers(0, 2**31))
def test_the_oracle_is_the_most_like_of_what_is_to_be_found_or_of_the_inverses(seed: int) -> None:
    log = Drawn(seed)
    found = recommendation(log.targets, log.preferences, log.pool, log.items)
    wanted = []
    for target in range(len(log.targets)):
        own = log.own(target)
        offered = [one for one in own if log.pool.polarity[one] > 0]
        offered = offered or [int(log.pool.inverse[one]) for one in own]
        if offered:
            wanted.append((target, log.best(log.items[log.targets.items[target]], offered)[0]))
    assert found.preference[:, 0].tolist() == [one for _, one in wanted]
    assert found.items.tolist() == [log.targets.items[target] for target, _ in wanted]
    assert rows_of(found.history) == [rows_of(log.targets.history)[target] for target, _ in wanted]
    assert all(log.pool.polarity[found.preference[:, 0]] > 0)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("train", [False, True])
@given(seed=st.integers(0, 2**31))
def test_steering_asks_one_users_history_for_another_ones_item(coarse: bool, train: bool, seed: int) -> None:
    log = Drawn(seed)
    found = steering(log.targets, log.pool, log.items, coarse=coarse, train=train, seed=3)
    used: list[int] = []
    row, histories = 0, rows_of(found.history)
    distinct = list(dict.fromkeys(log.targets.items.tolist()))
    for target, i in enumerate(log.targets.items.tolist()):
        if i in used:
            continue
        used.append(i)
        others = sorted((one for one in distinct if one != i), key=lambda one: float(log.items[one] @ log.items[i]))
        j = others[0 if coarse else -1]
        p1 = log.best(log.items[i], log.findable)[0 if train else 1]
        of_j = log.best(log.items[j], log.findable)
        p2 = (of_j[1] if of_j[0] == p1 else of_j[0]) if train else of_j[2]
        assert found.items[row : row + 2].tolist() == [i, j]
        assert found.preference[row : row + 2, 0].tolist() == [p1, p2]
        assert found.users[row : row + 2].tolist() == [log.targets.users[target]] * 2
        who_had_j = [rows_of(log.targets.history)[n] for n, item in enumerate(log.targets.items.tolist()) if item == j]
        assert histories[row] in who_had_j
        assert histories[row + 1] == rows_of(log.targets.history)[target]
        row += 2
    assert row == len(found)


def test_the_user_of_the_other_item_is_drawn_again_with_the_same_seed_alone() -> None:
    log = Drawn(1)
    first, again, other = (
        rows_of(steering(log.targets, log.pool, log.items, coarse=True, train=False, seed=seed).history) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


@given(st.integers(0, 2**31))
def test_sentiment_asks_for_a_disliked_item_and_for_its_opposite_without_a_history(seed: int) -> None:
    log = Drawn(seed)
    refused, wished = sentiment(log.targets, log.wishes, log.items)
    wanted, seen = [], set()
    events = log.opinions.events
    for target, (user, at_us, item) in enumerate(zip(log.targets.users, log.targets.at_us, log.targets.items, strict=True)):
        place = next(n for n in range(events.offsets[user], events.offsets[user + 1]) if events.at_us[n] == at_us)
        if log.opinions.mark[place] >= 0:
            continue
        held = set()
        for moment in [*events.at_us[place + 1 : events.offsets[user + 1]].tolist(), 10**9]:  # from after the event on
            ids = log.preferences.as_of(np.array([user]), np.array([moment]))[0]
            held |= {one for one in ids.tolist() if one >= 0 and log.pool.polarity[one] < 0}
        if not held:
            continue
        negative = log.best(log.items[item], sorted(held))[0]
        if log.pool.inverse[negative] not in seen:
            seen.add(log.pool.inverse[negative])
            wanted.append((target, negative))
    assert refused.preference[:, 0].tolist() == [negative for _, negative in wanted]
    assert wished.preference[:, 0].tolist() == [log.pool.inverse[negative] for _, negative in wanted]
    assert refused.items.tolist() == wished.items.tolist() == [log.targets.items[target] for target, _ in wanted]
    assert not len(refused.history.items)
    assert len(refused.history) == len(refused)
    for no, yes in zip(refused.preference[:, 0], wished.preference[:, 0], strict=True):
        assert log.pool.texts[no].replace("Avoid ", "Find ") == log.pool.texts[yes]


@given(st.integers(0, 2**31))
def test_consolidation_gives_all_of_a_users_own(seed: int) -> None:
    log = Drawn(seed)
    found = consolidation(log.targets, log.preferences)
    wanted = [log.own(target) for target in range(len(log.targets)) if log.own(target)]
    assert [[one for one in row if one >= 0] for row in found.preference.tolist()] == wanted


def test_rules_turn_a_refusal_into_a_wish() -> None:
    assert inverted("Avoid dark crime") == "Find dark crime"
    assert inverted("Exclude westerns") == "Search for westerns"
    assert inverted("no remakes") == "search for remakes"
    assert inverted("nothing sad") == "Find nothing sad"  # "no" is a word, not a beginning


def test_too_few_items_or_preferences_give_no_sample() -> None:
    log = Drawn(0)
    few = Targets(log.targets.users[:1], log.targets.at_us[:1], log.targets.items[:1], log.targets.history.take([0]))
    assert not len(steering(few, log.pool, log.items, coarse=False, train=False, seed=0))
    assert not len(steering(log.targets, log.pool, np.zeros_like(log.items), coarse=False, train=False, seed=0))


@given(st.integers(0, 2**31))
def test_what_is_wanted_after_a_moment_that_is_not_known_yet_has_no_say(seed: int) -> None:
    log = Drawn(seed)
    until = np.full(len(log.targets), 20)
    early = np.flatnonzero(log.targets.at_us <= 20)
    given = log.targets
    targets = Targets(given.users[early], given.at_us[early], given.items[early], given.history.take(early))
    now, _ = sentiment(targets, log.wishes, log.items, until[early])
    events, mark = log.opinions.events, log.opinions.mark
    known = events.at_us <= 20
    opinions = Opinions.of_events(
        events.rows()[known].astype(np.int32), events.items[known], events.at_us[known], mark[known], USERS, seed
    )
    shorter = templates(opinions, log.phrases)
    texts, polarity, inverse = with_inverses(shorter)
    vectors = np.stack([log.pool.vectors[log.pool.texts.index(text)] for text in texts]) if texts else np.zeros((0, DIM))
    then, _ = sentiment(targets, Wishes(opinions, shorter, Pool(texts, polarity, vectors.astype(np.float32), inverse)), log.items)
    assert [log.pool.texts[one] for one in now.preference[:, 0]] == [texts[one] for one in then.preference[:, 0]]
    assert now.items.tolist() == then.items.tolist()
