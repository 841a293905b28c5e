from dataclasses import replace

import numpy as np
import pytest

from headrace.evaluate.pointwise import normalized_entropy
from headrace.recipes import balancing
from headrace.recipes.balancing import (
    CENSUS,
    GRID,
    LOUD,
    PROTOCOLS,
    SMOKE,
    UNEVEN,
    block_entropies,
    run,
    weighting,
)
from headrace.recipes.logs.exposure import TASKS as WORLD_TASKS
from headrace.recipes.rows.census import TASKS as CENSUS_TASKS
from headrace.recipes.task_problems import Pairs
from headrace.recipes.trials import VALID

LONGER = replace(SMOKE, epochs=(6, 1), batch=100)
EQUAL = {"balancer": "equal", "learning_rate": 0.03}
LEVELLED = {"balancer": "multibalance", "balancer_settings": {"balance": "none"}, "learning_rate": 0.03}


def figures(own, protocol=CENSUS, sizes=LONGER):
    return run(sizes, PROTOCOLS[protocol], own, 0)


@pytest.mark.parametrize("tasks", [CENSUS_TASKS, WORLD_TASKS])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_grid_is_ten_weightings_of_one_sum(tasks, protocol):
    found = [weighting(number, tasks, PROTOCOLS[protocol].factors) for number in range(GRID)]
    assert found[0] == dict.fromkeys(tasks, 1.0)
    assert len({tuple(one.values()) for one in found}) == 10
    assert all(sum(one.values()) == pytest.approx(len(tasks)) for one in found)


def test_the_grid_can_undo_a_loss_times_100():
    asked = PROTOCOLS[UNEVEN]
    weighed = [weighting(number, CENSUS_TASKS, asked.factors) for number in range(GRID)]
    levels = [{task: one[task] * asked.times.get(task, 1.0) for task in CENSUS_TASKS} for one in weighed]
    assert any(max(one.values()) == pytest.approx(min(one.values())) for one in levels)


def test_blocks_of_any_size_have_the_entropy_of_all_rows_as_their_mean():
    draw = np.random.default_rng(0)
    y, q = (draw.random(50) < 0.3).astype(float), draw.uniform(0.1, 0.9, 50)
    block = np.repeat([0, 1, 2], [5, 15, 30])
    values = block_entropies(Pairs({"a": q}, {"a": y}, block), "a", 4)
    assert values.shape == (4,)
    assert values[3] == 0
    assert values.mean() == pytest.approx(normalized_entropy(y, q))


def test_every_figure_is_of_the_model_that_was_trained():
    found = figures(EQUAL)
    each = [found[f"ne_{task}"] for task in CENSUS_TASKS]
    assert np.allclose(found["mean_ne"], np.mean(each, axis=0))
    assert found["worst_ne"].mean() == pytest.approx(max(one.mean() for one in each))
    assert found["worst_ne"].mean() < 1, "better than the rate"
    assert found[VALID] < 1
    assert found["mean_auc"] > 0.6


def test_a_loss_times_100_moves_the_plain_sum_and_a_levelled_one_little():
    """Adam follows no scale, so what is left of it in a levelled sum is how the common length moves from step to step."""
    assert set(PROTOCOLS[UNEVEN].times) == {LOUD}
    plain, levelled = ([figures(own, protocol)["mean_ne"] for protocol in (CENSUS, UNEVEN)] for own in (EQUAL, LEVELLED))
    assert abs(levelled[1] - levelled[0]).mean() < 0.2 * abs(plain[1] - plain[0]).mean()


def test_a_weighting_of_the_grid_is_fixed_weights():
    weights = weighting(3, CENSUS_TASKS, PROTOCOLS[CENSUS].factors)
    by_number = figures({"weighting": 3})
    by_name = figures({"balancer": "fixed", "balancer_settings": {"weights": weights}})
    assert np.array_equal(by_number["mean_ne"], by_name["mean_ne"])
    assert not np.array_equal(by_number["mean_ne"], figures({"weighting": 0})["mean_ne"])


def test_alone_a_task_has_nothing_of_the_others(monkeypatch):
    """Each task's model is trained on its loss, and the epoch kept is its own best."""
    seen = []
    trained = balancing._trained

    def noticed(problem, asked, how, seed, judged):
        seen.append((how["balancer_settings"]["weights"], judged))
        return trained(problem, asked, how, seed, judged)

    monkeypatch.setattr(balancing, "_trained", noticed)
    alone = figures({"alone": True}, sizes=SMOKE)
    assert seen == [({one: float(one == task) for one in CENSUS_TASKS}, [task]) for task in CENSUS_TASKS]
    own = {"balancer": "fixed", "balancer_settings": {"weights": {"income": 1.0, "never_married": 0.0, "college": 0.0}}}
    assert np.array_equal(alone["ne_income"], figures(own, sizes=SMOKE)["ne_income"])
    assert not np.array_equal(alone["ne_college"], figures(own, sizes=SMOKE)["ne_college"])


@pytest.mark.parametrize("budget", ["smoke", "cpu"])
def test_protocols_say_what_they_are(budget):
    work = balancing.work({}, budget)
    assert list(work.protocols) == list(PROTOCOLS)
    assert all(work.says(protocol) for protocol in work.protocols)
    assert "times 100" in work.says(UNEVEN)
