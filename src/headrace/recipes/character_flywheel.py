"""CharacterFlywheel: climb an engagement surface nobody can see, a limited step at a time, through gates.

One generation: prompts of the live policy's own traffic, the half where the reward model's scores differ most within a prompt
(near-policy, hard) → pairs judged by annotators → a point-wise reward model (linear), a pair-wise one (quadratic), a user-signal
model → rejection sampling: the best of `candidates` by point score and signal → supervised fit on the chosen, taken
`step` times as far → win rates of both models on user and internal prompts, style features, an A/B test → gates → live or not.
A gated loop halves its step after a block and takes half of that back after a release: the win rate is steered by the step.

| arm | gates |
|---|---|
| gated | win-rate cap, agreement of models and traffics, style shift, A/B non-inferiority |
| cap, cap_agreement, ab | only these |
| ungated | none |
| filtered | none, but pairs far apart in style are not learnt from |
| frozen | never releases |

Paper: Nie et al., arXiv 2603.01973. What is simplified, and what our population assumes: docs/papers/character_flywheel.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from headrace.contracts.config import as_dict, config, parse
from headrace.contracts.requests import Float64
from headrace.contracts.rng import rng
from headrace.contracts.seams import Decision, Gate
from headrace.flywheel.experiment.metrics import Sample, effect
from headrace.flywheel.gates.panel import Panel
from headrace.flywheel.gates.style import Style, StyleShift
from headrace.flywheel.gates.verdicts import missing, not_worse
from headrace.flywheel.gates.win_rate import Agreement, WinRate, WinRateBand
from headrace.recipes.cells import Figures, Simulated
from headrace.recipes.claims import Claim
from headrace.recipes.convex import logistic
from headrace.recipes.protocol import Budget
from headrace.world.engagement import Answering, EngagementConfig, Population, Traffic, with_one

_PUBLISHED = (
    "7 of 8 releases positive, +8.8% breadth and +19.4% depth at most; the version whose win rate reached 70.7% on user traffic "
    "and 43.7% on internal lost engagement"
)
_MAIN, _LARGE = "step 1", "step 3"
_NEGATIVE = 0.002  # a release that loses more of true engagement than this is a bad one


def _claim(says: str, metric: str, better: str, than: str, protocol: str, margin: float = 0.0, *, less: bool = False) -> Claim:
    return Claim(says, _PUBLISHED, metric, better, than, protocol, margin, less=less)


CLAIM = _claim(
    "The gated loop ends with higher true engagement than the ungated one.", "true engagement", "gated", "ungated", _MAIN
)
FURTHER = (
    _claim("It makes fewer releases that lose engagement.", "negative releases", "gated", "ungated", _MAIN, less=True),
    _claim("At a larger step it ends with higher true engagement.", "true engagement", "gated", "ungated", _LARGE),
    _claim("A larger step wins the reward model past its cap of 65%.", "win rate, first", "ungated", "frozen", _LARGE, 0.15),
    _claim("That step loses true engagement.", "true change, first", "frozen", "ungated", _LARGE),
    _claim("The gates block it.", "true change, first", "gated", "ungated", _LARGE),
)
METRICS = ("true engagement", "negative releases", "releases", "win rate, first", "true change, first")


@config
class LoopConfig:
    """pairs, prompts, comparisons, users (an arm): how many of each a generation gets. margin: of the A/B test, in shares."""

    generations: Annotated[int, Gt(0)] = 10
    step: Annotated[float, Gt(0)] = 1.0
    pairs: Annotated[int, Gt(1)] = 400
    prompts: Annotated[int, Gt(1)] = 400
    candidates: Annotated[int, Gt(1)] = 8
    comparisons: Annotated[int, Gt(0)] = 1000
    users: Annotated[int, Gt(1)] = 5000
    signal: Annotated[float, Ge(0)] = 0.5
    margin: Annotated[float, Gt(0)] = 0.02
    l2: Annotated[float, Gt(0)] = 0.003


@config
class AbNonInferiority:
    """The engagement of both arms' users. Evidence "engages": two columns of 0 and 1, the candidate's first."""

    name: ClassVar[str] = "ab"
    margin: float = 0.02

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        if "engages" not in evidence:
            return missing(-self.margin, "nobody was asked")
        found = effect(*(Sample(column) for column in evidence["engages"]))
        spread = 1.959963984540054 * float(found.se)
        value = float(found.difference)
        return not_worse(value, value - spread, value + spread, self.margin, "share that goes on:")


CAP, AGREE, STYLE, AB = WinRateBand(), Agreement(), StyleShift(least_sd=0.5), AbNonInferiority()
TRAFFICS: tuple[Traffic, ...] = ("user", "internal")
ARMS: Mapping[str, tuple[Gate, ...]] = {
    "gated": (CAP, AGREE, STYLE, AB), "cap": (CAP,), "cap_agreement": (CAP, AGREE), "ab": (AB,), "ungated": (), "filtered": (),
    "frozen": (),
}  # fmt: skip


def work(budget: Budget) -> Simulated:
    steps = {"step 0.3": 0.3, _MAIN: 1.0, _LARGE: 3.0}
    shorter = {"generations": 2, "comparisons": 200, "users": 400} if budget == "smoke" else {}
    settings = {name: as_dict(LoopConfig(step=step, **shorter)) for name, step in steps.items()}
    return Simulated(
        data="engagement",
        arms={arm: {"arm": arm} for arm in ARMS},
        settings=settings,
        described={name: f"{one['generations']} generations, {one['pairs']} judged pairs each" for name, one in settings.items()},
        seeds=2 if budget == "smoke" else 50,
        metrics=METRICS,
        run=run,
    )


@dataclass(frozen=True)
class Models:
    """What was fitted near the live policy. Coefficients of the features below."""

    point: Float64
    pair: Float64
    signal: Float64


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One loop from the first policy on."""
    loop, name = parse(LoopConfig, setting, where="character_flywheel"), arm["arm"]
    people = Population(EngagementConfig(), seed)
    live, worth, step = people.first, people.engagement(people.first), loop.step
    releases, negative = 0, 0
    first: dict[str, float] = {}
    styles: list[Mapping[str, float]] = [_style(people, live, "before", n) for n in range(3)]
    panel = Panel({gate.name: gate for gate in ARMS[name]}, tuple(gate.name for gate in ARMS[name]))
    for version in range(loop.generations):
        models = _fitted(people, live, loop, version, filtered=name == "filtered")
        candidate = live if name == "frozen" else _climbed(people, live, models, replace(loop, step=step), version)
        rates = _win_rates(people, live, candidate, models, loop, version)
        style = _style(people, candidate, version)
        engages = _tested(people, live, candidate, loop, version)
        now = people.engagement(candidate)
        verdict = panel.decide("candidate", "live", {"win_rates": rates, "style": Style(style, styles), "engages": engages})
        if verdict.promotes:
            releases, negative = releases + (name != "frozen"), negative + (now < worth - _NEGATIVE)
            change, live, worth = now - worth, candidate, now
            styles.append(style)
            step = min(step * 1.5, loop.step)
        else:
            change, step = 0.0, step / 2
        if not first:
            first = {"win rate, first": rates["point/user"].value, "true change, first": change}
    found = {"true engagement": worth, "negative releases": float(negative), "releases": float(releases), **first}
    return {metric: np.array([found[metric]]) for metric in METRICS}


def features(prompts: Float64, answers: Float64, *, squares: bool) -> Float64:
    """Of an answer and its fit to the prompt: y, y ⊗ x, and y² where asked; [R, n, F]."""
    crossed = answers[..., :, None] * prompts[:, None, None, :]
    parts = [answers, crossed.reshape(*answers.shape[:2], -1)]
    return np.concatenate([*parts, answers**2] if squares else parts, axis=-1)


def _fitted(people: Population, live: Answering, loop: LoopConfig, version: int, *, filtered: bool) -> Models:
    """Half the pairs on each traffic, answers of the live policy and of a freer sibling."""
    lead: dict[bool, list[Float64]] = {True: [], False: []}
    taken = []
    for traffic in TRAFFICS:
        prompts = people.prompts(loop.pairs // 2, traffic, "pairs", version)
        draw = rng(people.seed, "pairs", traffic, version)
        sibling = replace(live, spread=1.5 * live.spread)
        pairs = np.concatenate([live.answers(prompts, 1, draw), sibling.answers(prompts, 1, draw)], axis=1)
        if filtered:
            near = np.abs(pairs[:, 0, 0] - pairs[:, 1, 0]) < 0.25 * live.spread
            prompts, pairs = prompts[near], pairs[near]
        taken.append(people.prefers_first(prompts, pairs, traffic, version))
        for squares, found in lead.items():
            both = features(prompts, pairs, squares=squares)
            found.append(both[:, 0] - both[:, 1])
    chosen = np.concatenate(taken).astype(np.float64)
    prompts = people.prompts(loop.prompts, "user", "signal", version)
    shown = live.answers(prompts, 1, rng(people.seed, "signal", version))
    went_on = people.engages(prompts, shown, "signal", version)[:, 0].astype(np.float64)
    known = features(prompts, shown, squares=False)[:, 0]
    return Models(
        logistic(np.concatenate(lead[False]), chosen, l2=loop.l2),
        logistic(np.concatenate(lead[True]), chosen, l2=loop.l2),
        logistic(np.concatenate([np.ones((len(known), 1)), known], 1), went_on, l2=loop.l2),
    )


def _climbed(people: Population, live: Answering, models: Models, loop: LoopConfig, version: int) -> Answering:
    """Rejection sampling on the hard half of fresh traffic, then least squares on what was chosen."""
    prompts = people.prompts(2 * loop.prompts, "user", "traffic", version)
    answers = live.answers(prompts, loop.candidates, rng(people.seed, "candidates", version))
    known = features(prompts, answers, squares=False)
    score = known @ models.point + loop.signal * (known @ models.signal[1:])
    hard = np.argsort(-score.var(axis=1))[: loop.prompts]
    best = answers[hard, score[hard].argmax(1)]
    fit = np.linalg.lstsq(with_one(prompts[hard]), best, rcond=None)[0].T
    return replace(live, mean=live.mean + loop.step * (fit - live.mean))


def _win_rates(
    people: Population, live: Answering, candidate: Answering, models: Models, loop: LoopConfig, version: int
) -> Mapping[str, WinRate]:
    found = {}
    for traffic in TRAFFICS:
        prompts = people.prompts(loop.comparisons, traffic, "wins", version)
        draw = rng(people.seed, "wins", traffic, version)
        pairs = np.concatenate([candidate.answers(prompts, 1, draw), live.answers(prompts, 1, draw)], axis=1)
        for judge, weights, squares in (("point", models.point, False), ("pair", models.pair, True)):
            score = features(prompts, pairs, squares=squares) @ weights
            wins = int((score[:, 0] > score[:, 1]).sum())
            found[f"{judge}/{traffic}"] = WinRate(wins, 0, loop.comparisons - wins)
    return found


def _style(people: Population, policy: Answering, *names: object) -> Mapping[str, float]:
    prompts = people.prompts(1000, "user", "style", *names)
    answers = policy.answers(prompts, 1, rng(people.seed, "style", *names))[:, 0]
    return {"style": float(1 + answers[:, 0].mean()), "length": float(np.linalg.norm(answers, axis=1).mean())}


def _tested(people: Population, live: Answering, candidate: Answering, loop: LoopConfig, version: int) -> list[Float64]:
    """A week of A/B: other people in each arm."""
    arms = []
    for name, policy in (("candidate", candidate), ("live", live)):
        prompts = people.prompts(loop.users, "user", "A/B", name, version)
        answers = policy.answers(prompts, 1, rng(people.seed, "A/B", name, version))
        arms.append(people.engages(prompts, answers, "A/B", name, version)[:, 0].astype(np.float64))
    return arms
