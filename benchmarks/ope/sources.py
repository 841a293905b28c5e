"""Logs whose truth is known, drawn as often as wanted: a contextual bandit, pages of three slots, and the world's own pages.

A problem's `draw(run)` gives each estimator's terms on a fresh log, and its rows' users. `truth` is what the target is worth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from headrace.contracts.requests import Float64, Int64
from headrace.contracts.rng import rng
from headrace.evaluate.offpolicy.single import clipped_ips, direct, doubly_robust, expected_reward, ips, snips, switch_dr
from headrace.evaluate.offpolicy.slates import cascade_dr, independent, interaction, joint, self_normalised_interaction
from headrace.evaluate.offpolicy.terms import Terms

Draw = Callable[[int], tuple[list[Terms], Int64]]


@dataclass(frozen=True)
class Problem:
    """bounds: estimator -> its least and greatest term, for those with a bernstein bound. unsupported: the target's mass."""

    name: str
    says: str
    rows: int
    truth: float
    draw: Draw
    bounds: dict[str, tuple[float, float]]
    unsupported: float = 0.0


USERS, EACH, POOL, ACTIONS, DIM = 1000, 2, 4000, 10, 5
MOST = 30.0


def bandit(name: str, sharpness: float, hidden: int = 0) -> Problem:
    """Ten actions, rewards by a logit of context and a taste no model sees, two rows a user drawn from a pool of 4,000 people.

    The logger is a softmax of its own scores mixed with 5% uniform, without the `hidden` last actions; the target a softmax of
    `sharpness` times the true logits. The model of DM and DR is, for each action, least squares on the context in another log.
    """
    world = rng(0, "bandit")
    context, taste = world.normal(size=(POOL, DIM)), world.normal(0, 0.7, POOL)
    logit = context @ world.normal(0, 0.5, (DIM, ACTIONS)) + world.normal(0, 0.5, ACTIONS)
    reward = _sigmoid(logit - 1.5 + taste[:, None])
    shown = np.arange(ACTIONS) < ACTIONS - hidden
    logged = (
        0.95 * _softmax(np.where(shown, context @ world.normal(0, 0.5, (DIM, ACTIONS)), -np.inf)) + 0.05 * shown / shown.sum()
    )
    target = _softmax(sharpness * logit)

    def log(draw: np.random.Generator) -> tuple[Int64, Int64, Float64]:
        person = np.repeat(draw.integers(0, POOL, USERS), EACH)
        action = _drawn(draw, logged[person])
        return person, action, (draw.random(len(person)) < reward[person, action]).astype(np.float64)

    others, chosen, seen = log(rng(0, "model", name))
    known = np.column_stack([np.ones(POOL), context])
    q = np.column_stack([_least_squares(known[others[chosen == a]], seen[chosen == a], known) for a in range(ACTIONS)])

    def draw(run: int) -> tuple[list[Terms], Int64]:
        person, action, r = log(rng(run, "run", name))
        p, t = logged[person, action], target[person, action]
        model, v = q[person, action], expected_reward(q, target)[person]
        return [
            ips(r, p, t), clipped_ips(r, p, t, most=MOST), snips(r, p, t), direct(v), doubly_robust(r, p, t, model, v),
            switch_dr(r, p, t, model, v, tau=MOST),
        ], np.repeat(np.arange(USERS), EACH)  # fmt: skip

    mass = float(target[:, ~shown].sum(1).mean())
    says = f"bandit, {ACTIONS} actions, target {sharpness:g} x true logits" + (
        f", {hidden} actions never logged" if hidden else ""
    )
    bounds = {f"clipped_ips@{MOST:g}": (0.0, MOST)}
    return Problem(name, says, USERS * EACH, float((target * reward).sum(1).mean()), draw, bounds, mass)


CONTEXTS, ITEMS, SLOTS = 300, 8, 3
PAGES = np.array(list(permutations(range(ITEMS), SLOTS)))


def pages(name: str, behaviour: str, sharpness: float = 1.0) -> Problem:
    """Three of eight items without replacement, two pages a user; every page of every context is gone through for the truth.

    behaviour: what a slot's click depends on besides its item: "own" nothing, "above" the items above, "page" all others, whose
    appeal it loses by. The model of cascade_dr is each item's mean reward in each slot of another log.
    """
    world = rng(0, "pages")
    taste = world.normal(size=(CONTEXTS, ITEMS))
    scores = [0.5 * world.normal(size=(CONTEXTS, ITEMS)), sharpness * taste]
    seen = {"own": np.zeros((SLOTS, SLOTS)), "above": np.tri(SLOTS, k=-1), "page": 1 - np.eye(SLOTS)}[behaviour]
    appeal = taste[:, PAGES]  # [contexts, pages, slots]
    reward = _sigmoid(appeal - 0.5 - 0.4 * np.arange(SLOTS) - 0.7 * appeal @ seen.T)
    logs = [_page_logs(score) for score in scores]
    chances = [np.exp(log.sum(2)) for log in logs]
    marginals = [_marginals(chance) for chance in chances]

    def log(draw: np.random.Generator) -> tuple[Int64, Int64, Float64]:
        context = np.repeat(draw.integers(0, CONTEXTS, USERS), EACH)
        page = _drawn(draw, chances[0][context])
        return context, page, (draw.random((len(page), SLOTS)) < reward[context, page]).astype(np.float64)

    _, other, clicks = log(rng(0, "model", name))
    q = np.stack([
        np.bincount(PAGES[other, slot], clicks[:, slot], ITEMS) / np.maximum(np.bincount(PAGES[other, slot], minlength=ITEMS), 1)
        for slot in range(SLOTS)
    ], axis=1)  # fmt: skip

    def draw(run: int) -> tuple[list[Terms], Int64]:
        context, page, r = log(rng(run, "run", name))
        logged, target = (both[context, page] for both in logs)
        left = _softmax(scores[1])[context]
        v = np.empty(r.shape)
        for slot in range(SLOTS):
            v[:, slot] = (left / left.sum(1, keepdims=True)) @ q[:, slot]
            left[np.arange(len(left)), PAGES[page, slot]] = 0.0
        model = q[PAGES[page], np.arange(SLOTS)]
        return [
            joint(r, logged, target), interaction(r, logged, target), interaction(r, logged, target, most=MOST),
            self_normalised_interaction(r, logged, target), cascade_dr(r, logged, target, model, v),
            independent(r, *(both[context, page] for both in marginals)),
        ], np.repeat(np.arange(USERS), EACH)  # fmt: skip

    says = {"own": "its item alone", "above": "its item and those above", "page": "the whole page"}[behaviour]
    truth = float((chances[1] * reward.sum(2)).sum(1).mean())
    bounds = {f"interaction@{MOST:g}": (0.0, MOST * SLOTS)}
    return Problem(name, f"pages of {SLOTS} of {ITEMS}, a click depends on {says}", USERS * EACH, truth, draw, bounds)


def world_pages(name: str, rows: int = 4_000, temperature: float = 0.25) -> Problem:
    """Clicks a page of the small world's first day: its logger against the same ranking shown with less exploration."""
    from headrace.contracts.requests import Requests
    from headrace.methods.page.explore import ExploreConfig
    from headrace.methods.page.explore.policy import Explore
    from headrace.world.live import World

    world = World(seed=0)
    people, config = world.requests(), world.config
    offered = world.candidates(people)
    logger, target = (
        Explore(ExploreConfig(slots=config.slots, epsilon=config.epsilon, temperature=t), policy_id=name)
        for name, t in (("logger", config.temperature), ("target", temperature))
    )

    def clicks(shown: np.ndarray, which: Int64) -> Float64:
        return world.truth.expected(people.users[which], shown, people.at_us[which])["click"]

    everyone = np.arange(len(people))
    draws = [clicks(target.act(people, offered, seed=seed).items, everyone).sum(1).mean() for seed in range(200)]

    def draw(run: int) -> tuple[list[Terms], Int64]:
        which = rng(run, "run", name).integers(0, len(people), rows)
        some = people.take(which)
        ids = np.char.add(f"{run}-", np.arange(rows).astype(np.str_))
        asked = Requests(ids, some.users, some.at_us, some.history, some.features)
        there = offered.take(which)
        shown = logger.act(asked, there, seed=run)
        r = (rng(run, "clicks", name).random(shown.items.shape) < clicks(shown.items, which)).astype(np.float64)
        chance = target.log_prob(asked, shown, there)
        made = [
            joint(r, shown.log_prob, chance), interaction(r, shown.log_prob, chance),
            interaction(r, shown.log_prob, chance, most=MOST), self_normalised_interaction(r, shown.log_prob, chance),
        ]  # fmt: skip
        return made, np.arange(rows)

    says = f"world, {len(people)} requests, {config.slots} slots, temperature {config.temperature:g} to {temperature:g}"
    return Problem(name, says, rows, float(np.mean(draws)), draw, {f"interaction@{MOST:g}": (0.0, MOST * config.slots)})


def problems(names: Sequence[str]) -> list[Problem]:
    made = {
        "near": lambda: bandit("near", 1.0), "far": lambda: bandit("far", 3.0),
        "unsupported": lambda: bandit("unsupported", 1.0, hidden=3),
        "own": lambda: pages("own", "own"), "above": lambda: pages("above", "above"), "page": lambda: pages("page", "page"),
        "world": lambda: world_pages("world"),
    }  # fmt: skip
    return [made[name]() for name in names or made]


def _page_logs(scores: Float64) -> Float64:
    """log p of each slot's item given those above, of every page, [contexts, pages, slots]."""
    left = np.repeat(np.exp(scores)[:, None], len(PAGES), axis=1)
    logs = np.empty((len(scores), len(PAGES), SLOTS))
    for slot in range(SLOTS):
        item = np.broadcast_to(PAGES[:, slot], left.shape[:2])[..., None]
        logs[:, :, slot] = np.log(np.take_along_axis(left, item, 2)[..., 0] / left.sum(2))
        np.put_along_axis(left, item, 0.0, 2)
    return logs


def _marginals(chance: Float64) -> Float64:
    """log p(item at slot) of every page's items, [contexts, pages, slots], from the pages' chances."""
    logs = np.empty((*chance.shape, SLOTS))
    for slot in range(SLOTS):
        logs[:, :, slot] = np.log(chance @ np.eye(ITEMS)[PAGES[:, slot]])[:, PAGES[:, slot]]
    return logs


def _least_squares(seen: Float64, reward: Float64, asked: Float64) -> Float64:
    """Ridge of 1, so that a rare action has a model too."""
    weight = np.linalg.solve(seen.T @ seen + np.eye(seen.shape[1]), seen.T @ reward)
    return np.asarray(asked @ weight)


def _drawn(draw: np.random.Generator, chances: Float64) -> Int64:
    total = chances.cumsum(1)
    places: Int64 = (total <= (draw.random(len(chances)) * total[:, -1])[:, None]).sum(1)
    return places


def _softmax(scores: Float64) -> Float64:
    weight = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(weight / weight.sum(1, keepdims=True))


def _sigmoid(logit: Float64) -> Float64:
    return np.asarray(1 / (1 + np.exp(-logit)))
