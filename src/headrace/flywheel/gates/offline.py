"""Not worse on the same held-out requests: over everybody, and for each group that was declared.

Evidence "offline": the rows of `evaluate.compare`, the candidate measured against the live generation as its baseline.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt

from headrace.contracts.config import config
from headrace.contracts.seams import Decision
from headrace.evaluate.rows import Row
from headrace.flywheel.gates.verdicts import missing, not_worse, worst


@config
class OfflineNonInferiority:
    """metric: any of the evaluation's. margin: what may be lost, in the metric's own units."""

    name: ClassVar[str] = "offline"
    metric: str = "ndcg@10"
    margin: Annotated[float, Ge(0)] = 0.005
    least_users: Annotated[int, Gt(0)] = 30

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        row = _row(evidence.get("offline", ()), candidate, baseline, self.metric, "all")
        return _judged(row, self.metric, "all", self.margin, self.least_users)


@config
class SliceGuardrails:
    """slices: groups that may not lose more than the margin, each by the name its rows carry. The worst of them decides.

    A group of fewer than `least_users` is left out and named in the reason; where all are, there is no evidence.
    """

    name: ClassVar[str] = "slices"
    slices: tuple[str, ...] = ("cold users", "tail items")
    metric: str = "ndcg@10"
    margin: Annotated[float, Ge(0)] = 0.02
    least_users: Annotated[int, Gt(0)] = 30

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        rows = evidence.get("offline", ())
        found = {part: _row(rows, candidate, baseline, self.metric, part) for part in self.slices}
        large = {part: row for part, row in found.items() if row is not None and row.n >= self.least_users}
        if not large:
            return missing(-self.margin, f"none of {', '.join(self.slices)} has {self.least_users} users in the evaluation")
        decided = worst([_judged(row, self.metric, part, self.margin, self.least_users) for part, row in large.items()])
        small = [part for part in self.slices if part not in large]
        left = f"; too few users to say: {', '.join(small)}" if small else ""
        return Decision(decided.status, decided.observed, decided.threshold, decided.reason + left)


def _row(rows: Sequence[Row], candidate: str, baseline: str, metric: str, part: str) -> Row | None:
    wanted = (candidate, baseline, metric, part)
    return next((row for row in rows if (row.method, row.baseline, row.metric, row.slice) == wanted), None)


def _judged(row: Row | None, metric: str, part: str, margin: float, least: int) -> Decision:
    if row is None or row.diff is None or row.diff_lo is None or row.diff_hi is None:
        return missing(-margin, f'no row of {metric} for slice "{part}" compares the two')
    if row.n < least:
        return missing(-margin, f"{metric}, {part}: {row.n} users, fewer than {least}")
    return not_worse(row.diff, row.diff_lo, row.diff_hi, margin, f"{metric}, {part} (n = {row.n}):")
