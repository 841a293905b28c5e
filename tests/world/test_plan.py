import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headrace.cascade.plan import plan_from
from headrace.data.splits import temporal_cuts
from headrace.world.plan import plan_of, plan_of_tasks
from headrace.world.settings import DAY_US, START_US, day_of
from tests.world.tiny import TINY

TIMES = START_US + np.arange(-300, 100) * (DAY_US // 10)


def test_the_plan_is_one_and_its_windows_lie_where_pages_were():
    plan = plan_from(tomllib.loads(plan_of(TINY, TIMES, 10, [])), where="shop.toml", folder=Path())
    cuts = temporal_cuts(TIMES, plan.split)
    assert [int(day_of(np.array(at))) for at in (cuts.prerank_us, cuts.rank_us, cuts.test_us)] == pytest.approx(
        [0, 4, 8], abs=0.2
    )
    assert plan.page.seen_items
    assert set(plan.tasks) == {"click", "purchase", "satisfied"}


def test_the_other_plan_differs_in_its_ranker_alone():
    text = plan_of(TINY, TIMES, 10, [])
    one = plan_from(tomllib.loads(text), where="shop.toml", folder=Path())
    several = plan_from(tomllib.loads(plan_of_tasks(text)), where="world.toml", folder=Path())
    assert several.rank.use == "shared_bottom"
    assert list(several.tasks_of("rank")) == ["click", "purchase", "satisfied"] == list(one.tasks)
    assert replace(several, where=one.where, rank=one.rank) == one


def test_deterministic_policies_are_named():
    assert tomllib.loads(plan_of(TINY, TIMES, 10, ["noisy-top"]))["data"]["deterministic_policies"] == ["noisy-top"]
    assert "deterministic_policies" not in plan_of(TINY, TIMES, 10, [])


def test_few_days_leave_the_split_alone():
    assert "split" not in tomllib.loads(plan_of(TINY, TIMES, 2, []))
