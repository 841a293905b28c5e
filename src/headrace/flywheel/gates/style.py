"""Has the way of answering moved? Each feature's mean beside those of the last releases, in their own spread.

    shift = |mean of the candidate - mean of releases| / sd of releases

Features are whatever a policy can be gamed with: length, lists, emoji; for pages the share of a category, mean price, mean
popularity. A jump seldom is the improvement it looks like. Evidence "style": a `Style`.
Paper: Nie et al., CharacterFlywheel, 2026, artifact control; two sd over five releases is our guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from headrace.contracts.config import config
from headrace.contracts.seams import Decision
from headrace.flywheel.gates.verdicts import missing, of_kind, worst


@dataclass(frozen=True)
class Style:
    """Feature -> mean over answers, of the candidate and of each release before it, oldest first."""

    candidate: Mapping[str, float]
    releases: Sequence[Mapping[str, float]]


@config
class StyleShift:
    """least_sd: a spread below it counts as this, in shares of the feature's mean, so that a feature that never moved may."""

    name: ClassVar[str] = "style"
    most_sd: Annotated[float, Gt(0)] = 2.0
    releases: Annotated[int, Gt(1)] = 5
    least_sd: Annotated[float, Ge(0)] = 0.05

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        style: Style | None = of_kind(evidence.get("style"), Style, "style")
        if style is None or len(style.releases) < 2:
            return missing(self.most_sd, "fewer than two earlier releases to compare with")
        return worst(sorted((self._one(name, style) for name in style.candidate), key=lambda one: -one.observed))

    def _one(self, name: str, style: Style) -> Decision:
        past = np.array([release[name] for release in style.releases[-self.releases :] if name in release])
        if len(past) < 2:
            return missing(self.most_sd, f'"{name}" is new')
        spread = max(float(past.std(ddof=1)), self.least_sd * abs(float(past.mean())), 1e-12)
        shift = abs(style.candidate[name] - float(past.mean())) / spread
        says = f'"{name}" is {style.candidate[name]:.4g}, {shift:.1f} sd from the last {len(past)} releases\' {past.mean():.4g}'
        return Decision("passed" if shift < self.most_sd else "blocked", shift, self.most_sd, f"{says}; limit {self.most_sd:g}")
