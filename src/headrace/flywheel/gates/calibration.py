"""Is a predicted 4% worth 4%? The ratio of predicted to observed positives on labelled impressions must lie in a band.

    ratio = sum of predictions / sum of labels, 1 is right

Evidence "scorer": rows of the candidate's predictions on impressions it was not trained on, "calibration_ratio" among them.
A whole interval outside the band blocks; one that straddles its edge says nothing. Budgets and bids are spent on this figure, so
a generation that ranks better and predicts twice too much is still a bad release.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Gt

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Decision, Status
from headrace.flywheel.gates.verdicts import missing


@config
class Calibration:
    """lo, hi: the band of the ratio."""

    name: ClassVar[str] = "calibration"
    lo: Annotated[float, Gt(0)] = 0.8
    hi: Annotated[float, Gt(0)] = 1.25
    slice: str = "all"

    def __post_init__(self) -> None:
        if self.lo >= self.hi:
            raise ConfigError(f"calibration: lo is {self.lo:g} and hi {self.hi:g}; the band must be open, lo below hi.")

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        wanted = (candidate, "calibration_ratio", self.slice)
        row = next((one for one in evidence.get("scorer", ()) if (one.method, one.metric, one.slice) == wanted), None)
        threshold = self.lo if row is not None and row.value < 1 else self.hi
        if row is None or row.lo != row.lo:  # NaN: one user has no interval
            return missing(threshold, f'no calibration ratio with an interval for slice "{self.slice}"')
        status: Status = "passed" if self.lo < row.lo and row.hi < self.hi else "no_evidence"
        if row.hi <= self.lo or row.lo >= self.hi:
            status = "blocked"
        words = {"passed": "inside", "blocked": "outside", "no_evidence": "neither inside nor outside"}[status]
        figure = f"predicted over observed {row.value:.3f} [{row.lo:.3f}, {row.hi:.3f}], n = {row.n}"
        return Decision(status, row.value, threshold, f"{figure}: {words} ({self.lo:g}, {self.hi:g})")
