import itertools

import numpy as np
import pytest

from headrace.world.settings import DAY_US, START_US
from headrace.world.truth import Truth, highest, sigmoid
from tests.world.tiny import TINY


def some(world, rows=5):
    users = np.arange(1, rows + 1, dtype=np.int32)
    return users, np.full(rows, START_US + DAY_US + DAY_US // 3)


def test_the_logit_by_hand(world):
    users, at_us = some(world, 1)
    item = 17
    theta = world.people.tastes.vectors(1)[1]
    wanted = theta @ world.catalogue.vectors[item] + 0.5 * world.catalogue.popularity[item] + world.truth.offset
    wanted += 0.3 * np.sin(2 * np.pi * (4 / 3) / 7)
    chances = world.truth.chances(users, np.array([[item]], np.int32), at_us)
    assert chances.logit[0, 0] == pytest.approx(wanted)
    assert chances.click[0, 0] == pytest.approx(1 / (1 + np.exp(-wanted)))
    cosine, quality = theta @ world.catalogue.vectors[item] / 6, world.catalogue.quality[item]
    assert chances.dwell_s[0, 0] == pytest.approx(np.exp(3 + 0.8 * cosine + 0.5 * quality + 0.32))
    assert chances.value[0, 0] == pytest.approx(
        chances.click[0, 0] * (1 + 0.01 * chances.dwell_s[0, 0] + 5 * chances.purchase[0, 0] + chances.satisfied[0, 0])
    )


def test_the_catalogue_agrees_with_the_pairs_and_hides_what_is_not_there(world):
    users, at_us = some(world)
    values = world.truth.values(users, at_us)
    items = np.tile(np.arange(TINY.items + 1, dtype=np.int32), (len(users), 1))
    there = np.isfinite(values)
    np.testing.assert_allclose(values[there], world.truth.chances(users, items, at_us).value[there])
    assert there[:, 1:].sum() == len(users) * world.catalogue.known(1)


def test_no_page_is_worth_more_than_the_best(world):
    users, at_us = some(world, 3)
    best = world.truth.best(users, at_us, 2)
    value = world.truth.utility(users, best, at_us)
    likely = np.argsort(-world.truth.values(users, at_us), axis=1)[:, :12].astype(np.int32)
    pages = [likely[:, list(pair)] for pair in itertools.permutations(range(12), 2)]
    others = np.stack([world.truth.utility(users, page, at_us) for page in pages])
    assert (others.max(0) == value).all()


def test_an_empty_slot_brings_nothing(world):
    users, at_us = some(world)
    nothing = np.zeros((len(users), 3), np.int32)
    assert (world.truth.utility(users, nothing, at_us) == 0).all()
    assert all((chance == 0).all() for chance in world.truth.expected(users, nothing, at_us).values())


def test_position_bias_can_be_switched_off(world):
    from dataclasses import replace

    blind = Truth(replace(TINY, position_bias=0.0), world.catalogue, world.people.tastes)
    assert blind.examination(4).tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(world.truth.examination(4), [1, 2**-0.5, 3**-0.5, 0.5])


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(sigmoid(np.array([-1e9, -2.0, 0.0, 2.0, 1e9])), [0, 0.11920292, 0.5, 0.88079708, 1], atol=1e-8)


def test_highest_is_in_order_and_leaves_out_what_may_not():
    scores = np.array([[-np.inf, 3.0, 1.0, 3.0, 2.0], [-np.inf, -np.inf, -np.inf, 7.0, -np.inf]])
    assert highest(scores, 3).tolist() == [[1, 3, 4], [3, 0, 0]]
