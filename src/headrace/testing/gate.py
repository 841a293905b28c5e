"""What every gate promises: no evidence never promotes, a verdict says what it saw and wanted, and asking changes nothing."""

import copy
import math
from collections.abc import Mapping
from typing import Any

from headrace.contracts.seams import Gate
from headrace.testing.expect import expect


def check_gate(gate: Gate, *, passing: Mapping[str, Any], blocking: Mapping[str, Any]) -> None:
    """passing, blocking: evidence about "new" against "old" that it must let through, and that it exists to stop."""
    expect(isinstance(gate, Gate), f"{type(gate).__name__} lacks name or decide.")
    for wanted, evidence in (("passed", passing), ("blocked", blocking), ("no_evidence", {})):
        kept = copy.deepcopy(dict(evidence))
        decision = gate.decide("new", "old", evidence)
        expect(decision.status == wanted, f"{gate.name}: {decision.status}, expected {wanted}: {decision.reason}")
        expect(decision.promotes == (wanted == "passed"), f"{gate.name}: {wanted} promotes.")
        expect(bool(decision.reason), f"{gate.name} gives no reason.")
        expect(math.isfinite(decision.threshold), f"{gate.name}: threshold is {decision.threshold}.")
        expect(wanted == "no_evidence" or math.isfinite(decision.observed), f"{gate.name}: observed is {decision.observed}.")
        for again in (evidence, kept):  # a copy from before the first question: a gate that wrote into its evidence differs
            other = gate.decide("new", "old", again)
            expect((other.status, other.reason) == (decision.status, decision.reason), f"{gate.name} changes its mind.")
