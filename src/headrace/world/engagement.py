"""People who go on talking when an answer is good: a hidden surface of quality over answers, which a policy climbs blind.

    prompt    x ~ N(centre of its traffic, I) in R^p          answer   y in R^d, y_0 its style, the rest its content
    quality   q(x, y) = base - curvature/2 ||content - (t + T x)||² + pays · style - costs/2 · style²
    engages   Bernoulli(σ(q))            prefers y over z     Bernoulli(σ(q(x, y) - q(x, z)))

Near style 0 more of it pays, so that whoever fits a line there finds it worth having; past pays/costs it hurts, and more with
every step. Content has its best place `distance` away from the first policy's answers. A policy answers N(M [1; x], spread² I).
Source: our population for Nie et al., CharacterFlywheel, arXiv 2603.01973 (docs/papers/character_flywheel.md).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from headrace.contracts.config import config
from headrace.contracts.requests import Bool, Float64
from headrace.contracts.rng import rng
from headrace.world.selection import sigmoid

Traffic = Literal["user", "internal"]


@config
class EngagementConfig:
    """answer_dims: style and content together. distance, spread: in the units of an answer."""

    answer_dims: Annotated[int, Gt(1)] = 8
    prompt_dims: Annotated[int, Gt(0)] = 2
    base: float = -0.2
    distance: Annotated[float, Gt(0)] = 3.0
    curvature: Annotated[float, Gt(0)] = 0.1
    pays: float = 0.6
    costs: Annotated[float, Gt(0)] = 0.6
    spread: Annotated[float, Gt(0)] = 1.0


@dataclass(frozen=True)
class Answering:
    """A policy. mean [d, 1 + p] of an answer given [1; prompt]; spread of what it says round it."""

    mean: Float64
    spread: float

    def answers(self, prompts: Float64, n: int, draw: np.random.Generator) -> Float64:
        """prompts [R, p] -> [R, n, d]."""
        centre = with_one(prompts) @ self.mean.T
        return centre[:, None] + self.spread * draw.normal(size=(len(prompts), n, len(self.mean)))


class Population:
    """Whose truth is known: quality is a method, and nobody who learns may call it."""

    def __init__(self, settings: EngagementConfig, seed: int):
        self.settings, self.seed = settings, seed
        draw = rng(seed, "engagement")
        content = settings.answer_dims - 1
        direction = draw.normal(size=content)
        self.best = settings.distance * direction / np.linalg.norm(direction)
        self.wishes = 0.5 * draw.normal(size=(content, settings.prompt_dims))
        self.internal = draw.normal(size=settings.prompt_dims)

    @property
    def first(self) -> Answering:
        """Answers everybody alike, without style."""
        return Answering(np.zeros((self.settings.answer_dims, 1 + self.settings.prompt_dims)), self.settings.spread)

    def prompts(self, n: int, traffic: Traffic, *names: object) -> Float64:
        """[n, p]. Internal traffic is written by annotators: another centre, half as varied."""
        draw = rng(self.seed, "prompts", traffic, *names).normal(size=(n, self.settings.prompt_dims))
        return draw if traffic == "user" else self.internal + 0.5 * draw

    def quality(self, prompts: Float64, answers: Float64) -> Float64:
        """prompts [R, p], answers [R, n, d] -> logits [R, n]."""
        to = self.settings
        away = answers[..., 1:] - (self.best + prompts @ self.wishes.T)[:, None]
        style = answers[..., 0]
        found: Float64 = to.base - to.curvature / 2 * (away**2).sum(-1) + to.pays * style - to.costs / 2 * style**2
        return found

    def engages(self, prompts: Float64, answers: Float64, *names: object) -> Bool:
        """Whether each answer [R, n] is gone on from."""
        chance = sigmoid(self.quality(prompts, answers))
        return rng(self.seed, "engages", *names).random(chance.shape) < chance

    def prefers_first(self, prompts: Float64, pairs: Float64, *names: object) -> Bool:
        """pairs [R, 2, d]: whether an annotator takes the first."""
        quality = self.quality(prompts, pairs)
        return rng(self.seed, "prefers", *names).random(len(prompts)) < sigmoid(quality[:, 0] - quality[:, 1])

    def engagement(self, policy: Answering, n: int = 4000) -> float:
        """The true share of user traffic that goes on, on the same prompts and noise for every policy."""
        prompts = self.prompts(n, "user", "truth")
        return float(sigmoid(self.quality(prompts, policy.answers(prompts, 2, rng(self.seed, "truth")))).mean())


def with_one(prompts: Float64) -> Float64:
    """[R, p] -> [R, 1 + p]."""
    return np.concatenate([np.ones((len(prompts), 1)), prompts], axis=1)
