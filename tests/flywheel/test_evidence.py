from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cascade.impressions import BASE_RATE, served
from headrace.cascade.sections import Rank
from headrace.evaluate.rows import Row
from headrace.flywheel import evidence
from headrace.flywheel.gates.calibration import Calibration


@pytest.mark.parametrize(("rank", "name"), [(Rank(), "dcnv2"), (Rank(calibrate="platt"), "dcnv2, platt")])
def test_the_gate_is_shown_the_ranker_as_it_serves_and_not_the_base_rate(monkeypatch, rank, name):
    """Whose ratio is near 1 whatever the ranker says."""
    one = Row("rank", BASE_RATE, "temporal", "all", "calibration_ratio", 1.0, 0.98, 1.02, 90)
    rows = [one, replace(one, method="dcnv2", value=1.6, lo=1.5, hi=1.7)]
    if rank.calibrate:
        rows.append(replace(one, method=name, value=1.01, lo=0.95, hi=1.07))
    monkeypatch.setattr(evidence, "measure_impressions", lambda pipeline: (rows, {}, []))
    plan: Any = SimpleNamespace(rank=rank)
    candidate: Any = SimpleNamespace(name="new", pipeline=SimpleNamespace(plan=plan))
    assert served(plan) == name
    (found,) = evidence.scorer(candidate)
    assert (found.method, found.value) == ("new", rows[-1].value)
    decision = Calibration().decide("new", "old", {"scorer": [found]})
    assert decision.status == ("passed" if rank.calibrate else "blocked")
