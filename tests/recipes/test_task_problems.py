import numpy as np
import pytest
import torch

from headrace.recipes.balancing import SMOKE
from headrace.recipes.task_problems import made_up, problem_of
from headrace.world.settings import DAY_US, START_US

DAYS = SMOKE.exposure.warm_days, SMOKE.exposure.window_days


@pytest.fixture(scope="module")
def world():
    return problem_of("world", SMOKE, 0)


def test_days_of_the_world_have_one_use_each(world):
    warm, window = DAYS
    learned = world.artifacts["candidate_lists"].requests.at_us
    days = [(at_us - START_US) // DAY_US for at_us in (learned, world.valid.requests.at_us, world.test.requests.at_us)]
    first = warm + window - SMOKE.valid_days
    assert [set(day.tolist()) for day in days] == [set(range(warm, first)), {first, first + 1}, {first + 2}]


def test_the_world_is_tested_on_true_chances(world):
    found = world.tested(world.learned(0).module)
    assert set(found.true) == set(world.tasks) == {"click", "long_dwell", "purchase", "satisfied"}
    assert len(found.block) == world.test.candidates.there.sum()
    assert all(((p > 0) & (p < 1)).all() for p in found.true.values())
    assert (found.true["purchase"] <= found.true["click"]).all()
    valid = world.validated(world.learned(0).module)
    assert set(np.unique(valid.true["click"])) == {0.0, 1.0}


def test_a_block_of_the_world_is_of_users(world):
    found = world.tested(world.learned(0).module)
    users = np.repeat(world.test.requests.users, world.test.candidates.items.shape[1])
    assert np.array_equal(found.block, users % SMOKE.blocks)


def test_a_seed_is_the_same_rows_and_first_weights_for_every_arm():
    one, other, third = (problem_of("census", SMOKE, seed).learned(seed) for seed in (0, 0, 1))
    for name, values in one.module.state_dict().items():
        assert torch.equal(values, other.module.state_dict()[name])
    batches = [learned.batches.epoch(0)[0]["codes"] for learned in (one, other, third)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_census_rows_are_in_blocks_as_they_come():
    problem = problem_of("census", SMOKE, 0)
    found = problem.tested(problem.learned(0).module)
    assert (np.bincount(found.block) == len(found.block) // SMOKE.blocks).all()
    assert (np.diff(found.block) >= 0).all()


def test_the_made_up_table_tells_of_its_tasks():
    table = made_up(0).test
    for at, label in enumerate(table.labels.values()):
        rows = made_up(0).test.codes[:, [at, at + 1]]
        assert 0.1 < label.mean() < 0.9
        assert abs(np.corrcoef(rows[:, 0], label)[0, 1]) > 0.1 or abs(np.corrcoef(rows[:, 1], label)[0, 1]) > 0.1
