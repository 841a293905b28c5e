"""How often reward models prefer the candidate: enough to be a gain, not so much that it is the model being gamed.

    w = (wins + ties / 2) / comparisons

A reward model is trusted near the data it was fitted on. A candidate that wins far too often has left that region, and what it
won there is the model's error (the paper's V12: 70.7% on user traffic, and engagement fell). Evidence "win_rates": name
"JUDGE/TRAFFIC" -> WinRate, as "point/user", "pair/internal".
Paper: Nie et al., CharacterFlywheel, 2026, the gates learnt (aim near 60%, never above 65%).
The 0.10 of `Agreement` is our guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Gt, Lt

from headrace.contracts.config import config
from headrace.contracts.seams import Decision
from headrace.flywheel.gates.verdicts import missing, within, worst

_Z = 1.959963984540054


@dataclass(frozen=True)
class WinRate:
    """Counts of the candidate against the live generation."""

    wins: int
    ties: int
    losses: int

    @property
    def n(self) -> int:
        return self.wins + self.ties + self.losses

    @property
    def value(self) -> float:
        return (self.wins + 0.5 * self.ties) / self.n

    def wilson(self) -> tuple[float, float]:
        """The 95% interval; ties count half."""
        w, n = self.value, self.n
        centre, spread = w + _Z**2 / (2 * n), _Z * (w * (1 - w) / n + _Z**2 / (4 * n * n)) ** 0.5
        return (centre - spread) / (1 + _Z**2 / n), (centre + spread) / (1 + _Z**2 / n)


@config
class WinRateBand:
    """Every reward model's rate on every traffic must lie in (floor, stop). aim: what a release is steered toward, printed."""

    name: ClassVar[str] = "win_rate"
    floor: Annotated[float, Gt(0), Lt(1)] = 0.5
    aim: Annotated[float, Gt(0), Lt(1)] = 0.6
    stop: Annotated[float, Gt(0), Lt(1)] = 0.65
    least: Annotated[int, Gt(0)] = 100

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        rates: Mapping[str, WinRate] = evidence.get("win_rates") or {}
        if not rates:
            return missing(self.stop, "no reward model compared the two")
        return worst([self._one(name, rate) for name, rate in rates.items()])

    def _one(self, name: str, rate: WinRate) -> Decision:
        if rate.n < self.least:
            return missing(self.stop, f"{name}: {rate.n} comparisons, fewer than {self.least}")
        return within(rate.value, self.floor, self.stop, f"{name}: win rate (aim {self.aim:g}, n = {rate.n})")


@config
class Agreement:
    """Two models on one traffic, and one model on two, must tell about the same; apart, one of them is being gamed."""

    name: ClassVar[str] = "agreement"
    apart: Annotated[float, Gt(0), Lt(1)] = 0.1

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        rates: Mapping[str, WinRate] = evidence.get("win_rates") or {}
        split = {name: name.rpartition("/")[::2] for name in rates}
        pairs = [
            (one, other)
            for place, one in enumerate(rates)
            for other in list(rates)[place + 1 :]
            if (split[one][0] == split[other][0]) != (split[one][1] == split[other][1])
        ]
        if not pairs:
            return missing(self.apart, "fewer than two reward models or traffics")
        return worst([self._one(*pair, rates) for pair in pairs])

    def _one(self, one: str, other: str, rates: Mapping[str, WinRate]) -> Decision:
        if not rates[one].n or not rates[other].n:
            return missing(self.apart, f"{one} or {other} compared nothing")
        gap = abs(rates[one].value - rates[other].value)
        says = f"{one} {rates[one].value:.3f} and {other} {rates[other].value:.3f} are {gap:.3f} apart"
        return Decision("passed" if gap < self.apart else "blocked", gap, self.apart, f"{says}, limit {self.apart:g}")
