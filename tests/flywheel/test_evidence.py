from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cascade.impressions import BASE_RATE, served
from headrace.cascade.sections import Rank
from headrace.data.labels import TaskConfig
from headrace.evaluate.rows import Row
from headrace.flywheel import evidence
from headrace.flywheel.gates.calibration import Calibration
from headrace.flywheel.settings import FlyConfig


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


def test_of_several_tasks_the_main_one_is_what_the_gate_and_the_reward_read(monkeypatch):
    one = Row("rank", "shared_bottom", "temporal, impressions of click", "all", "calibration_ratio", 1.0, 0.9, 1.1, 90)
    others = [
        replace(one, split=f"temporal, {of}", value=9.0) for of in ("drawn from (1 / propensity), click", "impressions of buy")
    ]
    monkeypatch.setattr(evidence, "measure_impressions", lambda pipeline: ([one, *others], {}, []))
    rank = Rank(use="shared_bottom", learn_from="impressions", task=("click", "buy"))
    tasks = {name: TaskConfig(event=name, window_h=1) for name in ("buy", "click")}
    plan: Any = SimpleNamespace(rank=rank, tasks=tasks)
    candidate: Any = SimpleNamespace(name="new", pipeline=SimpleNamespace(plan=plan))
    assert [row.value for row in evidence.scorer(candidate)] == [1.0]
    assert evidence.reward_task(candidate, FlyConfig()) == tasks["click"]
    plan.rank = Rank()
    assert evidence.reward_task(candidate, FlyConfig()) == tasks["buy"], "the first there is"
