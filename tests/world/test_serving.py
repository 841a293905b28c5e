import numpy as np
import pytest

from headrace.contracts.requests import Slates
from headrace.world.live import World
from headrace.world.policies import Uniform, oracle
from headrace.world.serving import serve
from tests.world.tiny import TINY, logger


def test_logged_propensities_are_the_policys_own(lived):
    """Recomputed from the logged recall set, slot by slot, for the logger and for the flagged uniform pages."""
    _, outcomes = lived
    for outcome in outcomes:
        for rows, policy in ((~outcome.random, logger()), (outcome.random, Uniform(TINY.slots))):
            some = np.flatnonzero(rows)
            page = Slates(outcome.shown[some], outcome.served.log_prob[some], policy.policy_id, False)
            again = policy.log_prob(outcome.requests.take(some), page, outcome.offered.take(some))
            np.testing.assert_allclose(again, page.log_prob, rtol=1e-12)
            assert (outcome.served.policy_id[some] == policy.policy_id).all()


def test_two_in_a_hundred_requests_are_flagged(lived):
    _, outcomes = lived
    flagged, asked = sum(int(o.random.sum()) for o in outcomes), sum(len(o.requests) for o in outcomes)
    assert abs(flagged - 0.02 * asked) < 4 * np.sqrt(0.02 * 0.98 * asked)
    assert flagged > 0


def test_what_is_shown_is_as_frequent_as_its_propensity_says(world):
    """Second slots given the first, by place among the considered: chi-square over many seeds."""
    requests = world.requests()
    offered, policy, size = world.candidates(requests), logger(), TINY.considered
    found, wanted = np.zeros(size), np.zeros(size)
    for seed in range(12):
        page = policy.act(requests, offered, seed=seed)
        places = (offered.items[:, :, None] == page.items[:, None, :]).argmax(1)
        found += np.bincount(places[:, 1], minlength=size)
        for place in range(size):
            asked = page.items.copy()
            asked[:, 1] = offered.items[:, place]
            chance = policy.log_prob(requests, Slates(asked, page.log_prob, "logger", False), offered)[:, 1]
            wanted[place] += np.exp(chance).sum()
    assert wanted.sum() == pytest.approx(found.sum())
    assert ((found - wanted) ** 2 / wanted).sum() < 31.3  # chi-square of 11, one in a thousand


def test_arms_answer_the_requests_they_are_given(world):
    requests, offered = world.requests(), world.candidates(world.requests())
    arm = (requests.users % 2).astype(np.int64)
    served = serve(requests, offered, [logger(), oracle(world.truth)], arm, TINY, 1)
    assert set(served.policy_id[arm == 1]) == {"oracle", "uniform"}
    assert set(served.policy_id[arm == 0]) == {"logger", "uniform"}
    assert (served.own == (served.policy_id == "oracle")).all()
    assert (served.deterministic == (served.policy_id == "oracle")).all()


def test_an_arm_that_is_not_there_is_refused(world):
    requests = world.requests()
    with pytest.raises(ValueError, match="expected one of 0 to 0"):
        serve(requests, world.candidates(requests), [logger()], np.ones(len(requests), np.int64), TINY, 1)


def test_pages_of_different_lengths_are_padded():
    from dataclasses import replace

    world = World(TINY, 2)
    outcome = world.step([logger(), logger(replace(TINY, slots=5), "longer")], arm_of=lambda r: (r.users % 2).astype(np.int64))
    assert outcome.shown.shape[1] == 5
    assert (outcome.shown[outcome.served.arm == 0, 3:] == 0).all()
    assert not outcome.click[outcome.shown == 0].any()
