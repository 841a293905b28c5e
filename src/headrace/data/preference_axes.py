"""Preference discerning as five questions, built from any log whose items and preferences have vectors of one encoder.

| axis | preference | history | target |
|---|---|---|---|
| 1 recommendation | an oracle: of the user's own, the one most like the target | the user's | next item |
| 2 fine steering | of all users', one most like item i (or j) | of a user of j (or i), the item most like i | i (or j) |
| 3 coarse steering | the same | the same, j being the item least like i | i (or j) |
| 4 sentiment | what the user wants avoided, and its inverse | none | the disliked item |
| 5 consolidation | all of the user's own | the user's | next item |

Likeness is the inner product of vectors. Targets are one split's (train, validation or test), each an item somebody chose next.
Axes 2 and 3: an item is i once a split; validation and test take the 2nd most like preference for i and the 3rd for j, training
the most like ones, so that what is asked is not what was trained on. Axis 4: of the preferences to avoid that hold from after
the event on, the most like the item. Cost O(targets (preferences + targets) dim), in blocks.
Paper: Paischer et al., arXiv 2412.08604, section 4. Our readings (docs/papers/mender.md): likeness to an item is to its whole
text, not its title; steering draws from preferences that something is to be found by, not avoided.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Bool, Float32, History, Int32, Int64
from headrace.contracts.rng import rng
from headrace.data.preference_templates import FIND
from headrace.data.preferences import Opinions, Preferences

_AT_ONCE = 512
_INVERSES = (("avoid ", "find "), ("exclude ", "search for "), ("no ", "search for "))


@dataclass(frozen=True, eq=False)
class Pool:
    """All that may be asked for. texts, polarity [P]; vectors [P, dim]; inverse [P]: where an instruction to avoid is turned into
    one to find, else -1. The first are the preferences' own, in their order."""

    texts: tuple[str, ...]
    polarity: Int32
    vectors: Float32
    inverse: Int32

    @property
    def slots(self) -> Float32:
        """[P, dim + 1], as `requests.features["preference"]` holds each."""
        return np.concatenate([self.vectors, self.polarity[:, None]], 1, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Wishes:
    """All that is known of what users want, each state with its time: the artifact "preferences". pool: of `with_inverses`."""

    opinions: Opinions
    preferences: Preferences
    pool: Pool


@dataclass(frozen=True, eq=False)
class Targets:
    """One split's. users, at_us, items [T]; history: T rows, what stands before each."""

    users: Int32
    at_us: Int64
    items: Int32
    history: History

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, eq=False)
class Samples:
    """users [S]: whose target each was made of, the unit of resampling. preference int32 [S, W]: places in the pool, -1 for none.
    history: S rows. items [S]: the target."""

    users: Int32
    preference: Int32
    history: History
    items: Int32

    def __len__(self) -> int:
        return len(self.items)


def with_inverses(preferences: Preferences) -> tuple[tuple[str, ...], Int32, Int32]:
    """texts, polarity and inverse of a pool: the preferences' own instructions, and behind them what is missing of inverses."""
    known = {text: place for place, text in enumerate(preferences.texts)}
    texts, inverse = list(preferences.texts), np.full(len(known), -1, np.int32)
    for place in np.flatnonzero(preferences.polarity < 0).tolist():
        turned = inverted(preferences.texts[place])
        if turned not in known:
            known[turned] = len(texts)
            texts.append(turned)
        inverse[place] = known[turned]
    more = len(texts) - len(inverse)
    polarity = np.concatenate([preferences.polarity.astype(np.int32), np.ones(more, np.int32)])
    return tuple(texts), polarity, np.concatenate([inverse, np.full(more, -1, np.int32)])


def inverted(text: str) -> str:
    """By rule: avoid -> find, exclude -> search for, no -> search for; anything else is asked to be found."""
    for refusal, wish in _INVERSES:
        if text.lower().startswith(refusal):
            turned = wish + text[len(refusal) :]
            return turned[0].upper() + turned[1:] if text[0].isupper() else turned
    return FIND + text


def recommendation(targets: Targets, preferences: Preferences, pool: Pool, items: Float32) -> Samples:
    """Axis 1, an oracle. items [n_items, dim]. A target whose user has no preference is left out."""
    chosen = oracle(targets, preferences, pool, items)
    return _samples(targets, np.flatnonzero(chosen[:, 0] >= 0), chosen)


def oracle(targets: Targets, preferences: Preferences, pool: Pool, items: Float32) -> Int32:
    """[T, 1]: of a user's own, what is to be found; where there is none, the inverse of what is to be avoided; -1 for neither."""
    own = preferences.as_of(targets.users, targets.at_us)
    wanted = np.where((own >= 0) & (pool.polarity[own] > 0), own, -1)
    turned = np.where(own >= 0, pool.inverse[own], -1)
    offered = np.where((wanted >= 0).any(1, keepdims=True), wanted, turned)
    best = np.zeros(len(targets), np.int64)
    for start in range(0, len(targets), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        alike = np.einsum("twd,td->tw", pool.vectors[offered[part]], items[targets.items[part]])
        best[part] = np.where(offered[part] >= 0, alike, -np.inf).argmax(1)
    return np.take_along_axis(offered, best[:, None], 1).astype(np.int32)


def steering(
    targets: Targets, pool: Pool, items: Float32, *, coarse: bool, train: bool, seed: int, among: Bool | None = None
) -> Samples:
    """Axes 2 and 3. train: take the preferences that are most alike. among [P]: only these, all if None. Items and preferences
    without a word have no say."""
    counted = (pool.polarity > 0) & pool.vectors.any(1)
    findable = np.flatnonzero(counted if among is None else counted & among).astype(np.int32)
    first = np.unique(targets.items, return_index=True)[1]
    first = np.sort(first[items[targets.items[first]].any(1)])  # each item once, where it comes first
    distinct = targets.items[first]
    if len(distinct) < 2 or len(findable) < 3:
        return _samples(targets, np.zeros(0, np.int64), np.zeros((len(targets), 1), np.int32))
    other = distinct[_other(items[distinct], least=coarse)]
    ranked = dict(zip(distinct.tolist(), findable[_most(items[distinct], pool.vectors[findable], 3)], strict=True))
    mine = np.array([ranked[i][0 if train else 1] for i in distinct.tolist()], np.int32)
    theirs = np.array([ranked[j][0 if train else 2] for j in other.tolist()], np.int32)
    if train:
        second = np.array([ranked[j][1] for j in other.tolist()], np.int32)
        theirs = np.where(theirs == mine, second, theirs)
    users_of_j = _drawn(targets.items, other, seed, "coarse" if coarse else "fine")
    return Samples(
        np.repeat(targets.users[first], 2),
        np.stack([mine, theirs], 1).reshape(-1, 1),
        targets.history.take(np.stack([users_of_j, first], 1).ravel()),
        np.stack([distinct, other], 1).ravel(),
    )


def sentiment(targets: Targets, wishes: Wishes, items: Float32, until_us: Int64 | None = None) -> tuple[Samples, Samples]:
    """Axis 4: (what is to be avoided, its inverse), row by row alike, of targets their user disliked. Each inverse once.

    until_us [T]: states made of later events than these are unknown; None: all there are count.
    """
    opinions, preferences, pool = wishes.opinions, wishes.preferences, wishes.pool
    disliked = np.flatnonzero(_disliked(targets, opinions))
    kept, negative, seen = [], [], set[int]()
    for row in disliked.tolist():
        user, after = int(targets.users[row]), int(targets.at_us[row])
        held = np.unique(_own_from(preferences, user, after, None if until_us is None else int(until_us[row])))
        held = held[pool.polarity[held] < 0]
        if not len(held):
            continue
        place = int(held[(pool.vectors[held] @ items[targets.items[row]]).argmax()])
        if int(pool.inverse[place]) not in seen:
            seen.add(int(pool.inverse[place]))
            kept.append(row)
            negative.append(place)
    rows, refused = np.array(kept, np.int64), np.array(negative, np.int32).reshape(-1, 1)
    nothing = History(np.zeros(len(rows) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    users, wanted = targets.users[rows], targets.items[rows]
    return Samples(users, refused, nothing, wanted), Samples(users, pool.inverse[refused], nothing, wanted)


def consolidation(targets: Targets, preferences: Preferences) -> Samples:
    """Axis 5: all of a user's own, none of them matched to the target. A target whose user has none is left out."""
    own = preferences.as_of(targets.users, targets.at_us)
    return _samples(targets, np.flatnonzero((own >= 0).any(1)), own)


def _samples(targets: Targets, rows: Int64, preference: Int32) -> Samples:
    return Samples(targets.users[rows], preference[rows], targets.history.take(rows), targets.items[rows])


def _other(vectors: Float32, *, least: bool) -> Int64:
    """For each, the place of the most like other one, or of the least like; among equals the first."""
    found = []
    for start in range(0, len(vectors), _AT_ONCE):
        alike = vectors[start : start + _AT_ONCE] @ vectors.T
        own = np.arange(len(alike))
        alike[own, own + start] = np.inf if least else -np.inf
        found.append(alike.argmin(1) if least else alike.argmax(1))
    return np.concatenate(found)


def _most(vectors: Float32, among: Float32, k: int) -> Int64:
    """[n, k]: the places of the most like ones, best first; among equals the first."""
    found = []
    for start in range(0, len(vectors), _AT_ONCE):
        alike = vectors[start : start + _AT_ONCE] @ among.T
        rows, best = np.arange(len(alike)), []
        for _ in range(k):
            best.append(alike.argmax(1))
            alike[rows, best[-1]] = -np.inf
        found.append(np.stack(best, 1))
    return np.concatenate(found)


def _drawn(items: Int32, wanted: Int32, seed: int, name: str) -> Int64:
    """For each wanted item a target of it, drawn."""
    order = np.argsort(items, kind="stable")
    begin = np.searchsorted(items[order], wanted)
    count = np.searchsorted(items[order], wanted, side="right") - begin
    found: Int64 = order[begin + rng(seed, "steering", name).integers(0, count)]
    return found


def _disliked(targets: Targets, opinions: Opinions) -> Bool:
    """Whether each target's user said so of it at that moment."""
    events = opinions.events
    marked = opinions.mark < 0
    said = set(zip(events.rows()[marked].tolist(), events.items[marked].tolist(), events.at_us[marked].tolist(), strict=True))
    asked: Sequence[tuple[int, int, int]] = list(
        zip(targets.users.tolist(), targets.items.tolist(), targets.at_us.tolist(), strict=True)
    )
    return np.array([one in said for one in asked], np.bool_)


def _own_from(preferences: Preferences, user: int, at_us: int, until_us: int | None) -> Int32:
    """All instructions of a user's states after the events of a moment, and of no later ones."""
    events = preferences.events
    row = slice(int(events.offsets[user]), int(events.offsets[user + 1]))
    done = row.start + int(np.searchsorted(events.at_us[row], at_us, side="right"))
    stop = row.stop if until_us is None else row.start + int(np.searchsorted(events.at_us[row], until_us, side="right"))
    ids = preferences.ids[done + user : stop + user + 1]
    return ids[ids >= 0]
