"""What people did: the A/B test's own decision table, as one gate. "ship" passes, "stop" and a broken sample ratio block.

Evidence "experiment": an `Analysis`. Without traffic there is none, so a log that is only replayed never passes this gate.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from headrace.contracts.config import config
from headrace.contracts.seams import Decision
from headrace.flywheel.experiment.analysis import Analysis
from headrace.flywheel.gates.verdicts import missing, of_kind


@config
class AbDecision:
    """arm: the treatment that is the candidate, as the experiment names it."""

    name: ClassVar[str] = "experiment"
    arm: str = "candidate"

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        found: Analysis | None = of_kind(evidence.get("experiment"), Analysis, "experiment")
        if found is None or self.arm not in found.rules:
            return missing(0.0, "no experiment was run" if found is None else f'the experiment has no arm "{self.arm}"')
        return found.decision(self.arm)
