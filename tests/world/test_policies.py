import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Slates
from headrace.testing.policy import check_policy
from headrace.world.policies import Uniform, finds_candidates, oracle, popular
from tests.world.tiny import TINY, logger


def test_contracts(world):
    requests = world.requests().take(np.arange(6))
    check_policy(Uniform(TINY.slots), requests, world.candidates(requests))
    for policy in (oracle(world.truth), popular(world.truth)):
        check_policy(policy, requests, n_items=TINY.items + 1)
        assert finds_candidates(policy)
    assert not finds_candidates(logger())


def test_uniform_pages_are_uniform(world):
    requests = world.requests().take(np.arange(40))
    candidates, counts = world.candidates(requests), np.zeros((3, TINY.recalled))
    for seed in range(60):
        page = Uniform(3).act(requests, candidates, seed=seed)
        np.testing.assert_allclose(page.propensity, np.tile([1 / 36, 1 / 35, 1 / 34], (40, 1)))
        places = (candidates.items[:, :, None] == page.items[:, None, :]).argmax(1)
        for slot in range(3):
            counts[slot] += np.bincount(places[:, slot], minlength=TINY.recalled)
    wanted = 40 * 60 / TINY.recalled
    assert (((counts - wanted) ** 2 / wanted).sum(1) < 66).all()  # chi-square of 35, one in a thousand


def test_a_page_that_repeats_itself_has_no_chance(world):
    requests = world.requests().take(np.arange(1))
    candidates = world.candidates(requests)
    item = candidates.items[0, 0]
    page = Slates(np.array([[item, item, 0]], np.int32), np.zeros((1, 3)), "uniform", False)
    assert Uniform(3).log_prob(requests, page, candidates).tolist() == [[-np.log(36), -np.inf, 0.0]]


def test_uniform_needs_candidates(world):
    with pytest.raises(DataError, match=r"World\.candidates"):
        Uniform(3).act(world.requests(), None, seed=0)


def test_popular_is_the_same_page_for_all(world):
    page = popular(world.truth).act(world.requests(), None, seed=0).items
    assert (page == page[0]).all()
    known = world.catalogue.popularity[1 : world.catalogue.known(0) + 1]
    assert page[0].tolist() == (np.argsort(-known)[:3] + 1).tolist()
