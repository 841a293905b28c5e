from dataclasses import replace

import numpy as np

from headrace.contracts.requests import Requests
from headrace.world.live import World
from headrace.world.recall import SOURCES
from headrace.world.settings import WorldConfig, day_of
from tests.world.tiny import TINY


def test_each_source_gives_its_number_and_nothing_twice(world):
    requests = world.requests()
    found = world.candidates(requests)
    assert found.there.all()
    assert all(len(set(row)) == TINY.recalled for row in found.items.tolist())
    counts = [(~np.isnan(found.scores[name])).sum(1) for name in (*SOURCES, "stage1", "stage2")]
    for count, wanted in zip(counts, (20, 10, 6, 36, 12), strict=True):
        assert (count == wanted).all()
    assert (world.catalogue.arrival_day[found.items] <= day_of(requests.at_us)[:, None]).all()


def test_sources_hold_what_they_say(world):
    requests = world.requests().take(np.arange(9))
    found, n = world.candidates(requests), world.catalogue.known(0)
    near = world.recall.seen(requests) @ world.catalogue.vectors[1 : n + 1].T.astype(np.float32)
    for row in range(9):
        nearest = found.items[row][~np.isnan(found.scores["nearest"][row])]
        assert set(nearest) == set((np.argsort(-near[row])[:20] + 1).tolist())
        rest = np.argsort(-world.catalogue.popularity[1 : n + 1], kind="stable") + 1
        popular = [item for item in rest if item not in set(nearest)][:10]
        assert set(found.items[row][~np.isnan(found.scores["popular"][row])]) == set(popular)


def test_the_uniform_ones_are_uniform():
    """Each item that neither other source took is drawn equally often."""
    still = World(replace(TINY, users=600, nearest=5, popular=5, uniform=10, visits=9.0), 3)
    requests = still.requests()
    found = still.candidates(requests)
    drawn = np.bincount(found.items[~np.isnan(found.scores["uniform"])], minlength=TINY.items + 1)
    n = still.catalogue.known(0)
    taken = np.bincount(found.items[np.isnan(found.scores["uniform"])], minlength=TINY.items + 1)
    wanted = (len(requests) - taken[1 : n + 1]) * 10 / (n - 10)
    statistic = ((drawn[1 : n + 1] - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum()
    assert statistic < n + 4 * np.sqrt(2 * n)


def test_candidates_belong_to_their_request(world):
    requests = world.requests()
    whole = world.candidates(requests)
    rows = np.array([5, 2, 11])
    alone = world.candidates(requests.take(rows))
    assert (alone.items == whole.items[rows]).all()
    for name, values in alone.scores.items():
        np.testing.assert_allclose(values, whole.scores[name][rows], atol=1e-5)


def test_stages_are_sorted_and_stage_2_knows_more():
    world = World(WorldConfig(users=400, items=1500), 0)
    requests = world.requests()
    found = world.candidates(requests)
    assert (np.diff(found.scores["stage1"], axis=1) <= 0).all()
    considered = ~np.isnan(found.scores["stage2"])
    assert considered[:, :40].all()
    logit = world.truth.chances(requests.users, found.items, requests.at_us).logit
    errors = found.scores["stage1"] - logit
    assert abs((errors - errors.mean()).std() - 1.0) < 0.15  # the noise asked for, and what recall by it selects
    first, second = (np.corrcoef(found.scores[name][considered], logit[considered])[0, 1] for name in ("stage1", "stage2"))
    assert second > first + 0.1


def test_without_a_history_stage_2_leans_on_stage_1(world):
    requests = world.requests().take(np.arange(4))
    empty = replace(requests, history=requests.history.newest(0))
    assert isinstance(empty, Requests)
    found = world.candidates(empty)
    considered = found.scores["stage1"][:, : TINY.considered]
    np.testing.assert_allclose(found.scores["stage2"][:, : TINY.considered], considered, rtol=1e-5)
