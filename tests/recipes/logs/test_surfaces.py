"""Surfaces are of the shares and tastes they say, and nothing of the test reaches what is learned or known before it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit

from headrace.cascade.founding import states
from headrace.contracts.config import parse
from headrace.data.foundation import USER
from headrace.recipes import lfm4ads
from headrace.recipes.logs.scenarios import Upstream, as_of
from headrace.recipes.logs.surfaces import OnSurfaces, SurfacesConfig, lived
from headrace.world.live import World
from headrace.world.settings import DAY_US, START_US

SETTING = next(iter(lfm4ads.work("smoke").settings.values()))
SETTINGS = parse(SurfacesConfig, SETTING["log"], where="test")
DAY = START_US + DAY_US


@pytest.fixture(scope="module")
def log():
    return lived(SETTINGS, 0)


@pytest.fixture(scope="module")
def upstream(log):
    return Upstream.of(log, SETTING["upstream"], 0)


@pytest.fixture(scope="module")
def truth():
    world = World(SETTINGS.world, 0)
    return world.truth, OnSurfaces(world.truth, SETTINGS, 0)


def test_a_surface_moves_the_logit_by_its_rate_and_its_liking_of_the_topic(truth):
    plain, moved = truth
    users, at_us = np.arange(1, 41, dtype=np.int32), np.full(40, DAY)
    items = np.tile(np.arange(0, 30, dtype=np.int32), (40, 1))
    before, after = plain.chances(users, items, at_us), moved.chances(users, items, at_us)
    where = moved.surface(users, at_us)
    wanted = moved.moves[where][:, plain.catalogue.topic[items[0, 1:]]]
    np.testing.assert_allclose(logit(after.click[:, 1:]) - logit(before.click[:, 1:]), wanted, atol=1e-9)
    assert not after.click[:, 0].any()
    np.testing.assert_allclose((after.value * before.click)[:, 1:], (before.value * after.click)[:, 1:])
    np.testing.assert_array_equal(after.purchase, before.purchase)


def test_visits_fall_on_surfaces_by_their_shares_and_not_by_user(truth):
    _, moved = truth
    users, days = np.arange(1, 3001, dtype=np.int32), np.arange(3)
    where = np.stack([moved.surface(users, np.full(3000, START_US + day * DAY_US + 7)) for day in days])
    np.testing.assert_allclose(np.bincount(where.ravel()) / where.size, SETTINGS.shares, atol=0.02)
    assert (where[0] != where[1]).mean() == pytest.approx(1 - (SETTINGS.shares**2).sum(), abs=0.04)


def test_no_row_is_learned_from_twice_and_none_is_of_the_test(log):
    whole, then = log.whole, log.parts[0].interactions.cut_us
    assert whole.interactions.cut_us <= whole.lists.requests.at_us.min()
    assert whole.lists.requests.at_us.max() < whole.held.requests.at_us.min()
    assert whole.held.requests.at_us.max() < then
    for part in log.parts:
        lists, held, test = (one.requests.at_us for one in (part.lists, part.held, part.test))
        assert then <= lists.min() <= lists.max() < part.chosen.cut_us <= held.min() <= held.max() < log.until_us <= test.min()
        assert (part.cold.requests.at_us >= log.until_us).all()
    assert sum(len(part.cold.requests) for part in log.parts) > 0
    assert sum(part.rows for part in log.parts) == SETTINGS.world.slots * sum(len(part.lists) for part in log.parts)


def test_a_scenarios_history_is_its_own_clicks_and_all_events_where_asked(log):
    part = log.parts[1]
    for of in (part.lists, part.test):
        requests = of.requests
        newest_us = requests.history.last_at_us(1)[:, 0]
        assert (newest_us < requests.at_us).all()
    own, everything = part.test.requests.history.lengths, part.reading_all().test.requests.history.lengths
    assert own.sum() < everything.sum()
    cold = np.concatenate([part.chosen.history.lengths[part.cold.requests.users] for part in log.parts])
    assert len(cold) > 0
    assert not cold.any(), "who is cold had clicked on nothing there"


def test_the_test_moves_nothing_before_it(log, upstream):
    """A longer test: the same rows, and the same of users and items as of its beginning."""
    longer = lived(replace(SETTINGS, test_days=SETTINGS.test_days + 2), 0)
    assert len(longer.whole.users) > len(log.whole.users)
    for name in ("lists", "held"):
        np.testing.assert_array_equal(getattr(longer.whole, name).label, getattr(log.whole, name).label)
        for one, other in zip(longer.parts, log.parts, strict=True):
            np.testing.assert_array_equal(getattr(one, name).label, getattr(other, name).label)
    again = replace(upstream, whole=longer.whole, until_us=longer.until_us)
    for how in ("known", "leaked"):
        one, other = (getattr(made, how)("CR2") for made in (upstream, again))
        for part in log.parts:
            mine, theirs = (part.knowing(known).lists.requests.features[USER] for known in (one, other))
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(one.items_at(log.until_us), other.items_at(log.until_us))


def test_streamed_states_are_of_before_and_leaking_ones_of_after_too(log, upstream):
    part, then = log.parts[0], log.parts[0].interactions.cut_us
    cut = replace(upstream.whole, **{
        name: getattr(upstream.whole, name)[upstream.whole.at_us < then] for name in ("users", "at_us", "items")
    })  # fmt: skip
    early = np.full(len(part.lists), then)
    one, other = (replace(upstream, whole=whole).known("CR0") for whole in (upstream.whole, cut))
    users = part.lists.requests.users
    np.testing.assert_array_equal(one.users_at(users, early), other.users_at(users, early))
    assert one.users_at(users, early).any()
    leaks = [replace(upstream, whole=whole).leaked("CR0").users_at(users, early) for whole in (upstream.whole, cut)]
    assert not np.array_equal(*leaks)


def test_what_is_known_of_items_is_kept_for_the_moments_asked_for(log, upstream):
    _, items = states(log.whole.over(upstream.ranker), "CR1", upstream.decay)
    kept, entities = as_of(items, log.moments_us), np.arange(log.whole.interactions.n_items, dtype=np.int32)
    for at_us in log.moments_us:
        moments = np.full(len(entities), at_us)
        np.testing.assert_array_equal(kept.at(entities, moments), items.at(entities, moments))
