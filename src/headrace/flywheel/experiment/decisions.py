"""From standings to a decision: a table that is read from the top, first row that fits.

A primary stands        superior       Holm-adjusted p < α, in the wished direction
                        worse          Holm-adjusted p < α, in the other
                        unclear        otherwise
A guardrail stands      non-inferior   lo > -margin
                        inferior       hi <= -margin
                        unclear        otherwise: not known to be harmless

Holm is taken over the primaries of all treatments: one of them is enough to ship, so each is a chance to be wrong. All
guardrails must hold, so they need no adjustment. lo and hi are the interval of the design at 1 - α.
The rows "ship", "guardrail fails" and "else hold" are CharacterFlywheel's (its section on online evaluation); that a guardrail
which is only unclear holds rather than stops, and that a worse primary stops, is our reading.
"""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ship", "hold", "stop", "invalid"]
Standing = Literal["superior", "worse", "unclear", "non-inferior", "inferior"]


@dataclass(frozen=True)
class State:
    """What the table looks at. ended: no further look is planned."""

    sample_ratio_holds: bool
    primaries: tuple[Standing, ...]
    guardrails: tuple[Standing, ...]
    ended: bool


@dataclass(frozen=True)
class Rule:
    """Fits where each condition that is not None is as stated."""

    then: Verdict
    says: str
    sample_ratio_holds: bool | None = None
    some_inferior: bool | None = None
    all_harmless: bool | None = None
    some_superior: bool | None = None
    some_worse: bool | None = None
    ended: bool | None = None

    def fits(self, state: State) -> bool:
        seen = {
            "sample_ratio_holds": state.sample_ratio_holds,
            "some_inferior": "inferior" in state.guardrails,
            "all_harmless": all(one == "non-inferior" for one in state.guardrails),
            "some_superior": "superior" in state.primaries,
            "some_worse": "worse" in state.primaries,
            "ended": state.ended,
        }
        return all(getattr(self, name) in (None, value) for name, value in seen.items())


TABLE = (
    Rule(
        "invalid",
        "the arms don't have the sizes they should have: find out why before reading anything",
        sample_ratio_holds=False,
    ),
    Rule("stop", "a guardrail is worse by its margin or more", some_inferior=True),
    Rule("stop", "a primary is worse and none is better", some_worse=True, some_superior=False),
    Rule("hold", "primaries disagree: one is better, one worse", some_worse=True),
    Rule("ship", "a primary is better and every guardrail holds", some_superior=True, all_harmless=True),
    Rule("hold", "a primary is better; a guardrail is not yet known to hold", some_superior=True, ended=False),
    Rule("hold", "a primary is better, but a guardrail could not be shown to hold", some_superior=True),
    Rule("hold", "no primary is shown to be better yet", ended=False),
    Rule("hold", "no primary was shown to be better: the control stays"),
)


def decide(state: State) -> Rule:
    """The first row that fits; the last fits always."""
    return next(rule for rule in TABLE if rule.fits(state))


def primary_stands(p: float, difference: float, alpha: float) -> Standing:
    """p: Holm-adjusted. difference: positive is better."""
    if p >= alpha or difference == 0:
        return "unclear"
    return "superior" if difference > 0 else "worse"


def guardrail_stands(lo: float, hi: float, margin: float) -> Standing:
    """lo, hi: of the difference, positive is better."""
    if lo > -margin:
        return "non-inferior"
    return "inferior" if hi <= -margin else "unclear"
