import numpy as np
import pytest

from headrace.contracts.rng import rng
from headrace.world.engagement import Answering, EngagementConfig, Population


@pytest.fixture
def people():
    return Population(EngagementConfig(), seed=3)


def at(people, style, content=None):
    """The quality of one answer to the prompt 0."""
    content = people.best if content is None else content
    return float(people.quality(np.zeros((1, 2)), np.concatenate([[style], content])[None, None])[0, 0])


def test_style_pays_near_and_costs_far(people):
    assert at(people, 0.0) < at(people, 1.0) > at(people, 2.0)
    assert at(people, 4.0) < at(people, 0.0)


def test_the_best_content_is_the_distance_away(people):
    assert np.linalg.norm(people.best) == pytest.approx(3.0)
    assert at(people, 1.0) - at(people, 1.0, np.zeros(7)) == pytest.approx(0.1 / 2 * 9)  # curvature / 2 · distance²


def test_outcomes_follow_the_truth(people):
    prompts = people.prompts(20_000, "user", "test")
    answers = people.first.answers(prompts, 2, rng(0, "test"))
    rate = people.engages(prompts, answers, "test").mean()
    assert rate == pytest.approx(people.engagement(people.first), abs=4 * np.sqrt(0.25 / 40_000))
    quality = people.quality(prompts, answers)
    taken = people.prefers_first(prompts, answers, "test")
    wanted = 1 / (1 + np.exp(quality[:, 1] - quality[:, 0]))
    assert taken.mean() == pytest.approx(wanted.mean(), abs=4 * np.sqrt(0.25 / 20_000))
    assert np.corrcoef(taken, wanted)[0, 1] > 0.2


def test_a_better_policy_is_better(people):
    better = Answering(people.first.mean.copy(), 1.0)
    better.mean[1:, 0] = people.best
    assert people.engagement(better) > people.engagement(people.first) + 0.05
