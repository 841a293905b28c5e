"""How figures become a verdict: the same three answers everywhere, so that a wide interval never reads as a good one.

    passed        lo > -margin           not worse by the margin, at the interval's confidence
    blocked       hi <= -margin          worse by the margin or more
    no_evidence   otherwise              the data can't say

Relation to `recipes.claims`: the same inequality, with "null" for "no_evidence".
"""

import math
from typing import Any

from headrace.contracts.errors import DataError
from headrace.contracts.seams import Decision, Status


def missing(threshold: float, reason: str) -> Decision:
    """There is nothing to judge by."""
    return Decision("no_evidence", math.nan, threshold, reason)


def not_worse(value: float, lo: float, hi: float, margin: float, says: str) -> Decision:
    """A difference to the live generation, more is better. says: what differs, for the reason."""
    where = f"{says} {value:+.4f} [{lo:+.4f}, {hi:+.4f}]"
    if lo > -margin:
        return Decision("passed", value, -margin, f"{where}: above {-margin:+.4f}")
    if hi <= -margin:
        return Decision("blocked", value, -margin, f"{where}: worse by more than {margin:g}")
    return Decision("no_evidence", value, -margin, f"{where}: can't be told from a loss of {margin:g}")


def within(value: float, lo: float, hi: float, says: str) -> Decision:
    """A figure that must lie strictly inside (lo, hi). The threshold given is the side it is nearer to."""
    threshold = lo if abs(value - lo) < abs(value - hi) else hi
    status: Status = "passed" if lo < value < hi else "blocked"
    return Decision(
        status, value, threshold, f"{says} {value:.3f}, {'inside' if status == 'passed' else 'outside'} ({lo:g}, {hi:g})"
    )


def worst(decisions: list[Decision]) -> Decision:
    """The one that decides: blocked before no_evidence before passed; of equals the first."""
    order = {"blocked": 0, "no_evidence": 1, "passed": 2}
    return min(decisions, key=lambda one: order[one.status])


def of_kind(evidence: Any, kind: type, name: str) -> Any:
    """The evidence under its name, or None; another type is a mistake of whoever gathered it."""
    if evidence is not None and not isinstance(evidence, kind):
        raise DataError(f'evidence "{name}" is {type(evidence).__name__}, expected {kind.__name__}.')
    return evidence
