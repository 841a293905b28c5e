"""What the candidate would have earned on logged traffic, as far as the log can say: a lower bound of its lead over the logger.

Evidence "off_policy": an `Estimate` of target - logger on the same pages (`judge(..., versus=True)` or `lower_bound`). One that
was refused, for want of support or of effective sample size, is no evidence, with the estimator's own reason.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from headrace.contracts.config import config
from headrace.contracts.seams import Decision
from headrace.evaluate.offpolicy.estimate import Estimate
from headrace.flywheel.gates.verdicts import missing, not_worse, of_kind


@config
class OffPolicyLowerBound:
    """margin: what may be lost, in reward a page."""

    name: ClassVar[str] = "off_policy"
    margin: Annotated[float, Ge(0)] = 0.0

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        found: Estimate | None = of_kind(evidence.get("off_policy"), Estimate, "off_policy")
        if found is None or found.reason:
            return missing(-self.margin, "no pages with propensities were logged" if found is None else found.reason)
        says = f"{found.name}, lead a page (ESS {found.ess:,.0f}, {found.n:,} users):"
        return not_worse(found.value, found.lo, found.hi, self.margin, says)
