import numpy as np
import pytest

from headrace.world.live import World
from headrace.world.policies import oracle
from headrace.world.settings import day_of
from tests.world.tiny import TINY, logger


def same(one, other):
    assert (one.requests.ids == other.requests.ids).all()
    assert (one.requests.history.items == other.requests.history.items).all()
    for name in ("shown", "examined", "click", "dwell_s", "purchase", "satisfied", "utility", "realised", "best", "regret"):
        assert (getattr(one, name) == getattr(other, name)).all(), name
    assert (one.served.log_prob == other.served.log_prob).all()


def test_one_seed_one_world():
    one, other = World(TINY, 5), World(TINY, 5)
    for _ in range(2):
        same(one.step(logger()), other.step(logger()))
    assert (World(TINY, 6).step(logger()).shown[:20] != one.step(logger()).shown[:20]).any()


def test_killed_and_loaded_it_goes_on_with_the_same_bits(tmp_path):
    straight, broken = World(TINY, 5), World(TINY, 5)
    wanted = [straight.step(logger()) for _ in range(3)]
    broken.step(logger())
    broken.save(tmp_path / "state" / "world.safetensors")
    del broken
    again = World.load(tmp_path / "state" / "world.safetensors")
    assert again.day == 1
    for outcome in wanted[1:]:
        same(again.step(logger()), outcome)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["world.safetensors"]


def test_how_many_events_a_request_carries_changes_nothing_else(tmp_path):
    few, many = World(TINY, 5, newest=50), World(TINY, 5)
    one, other = few.step(logger()), many.step(logger())
    assert (one.shown == other.shown).all()
    assert (one.click == other.click).all()
    assert (few.past.items == many.past.items).all()
    assert one.requests.history.lengths.max() == 50 < other.requests.history.lengths.max()
    few.save(tmp_path / "world.safetensors")
    again = World.load(tmp_path / "world.safetensors", newest=20)
    assert again.requests().history.lengths.max() == 20


def test_histories_hold_the_past_and_nothing_else():
    world = World(TINY, 5)
    outcomes = [world.step(logger()) for _ in range(2)]
    requests = world.requests()
    assert (requests.history.at_us < requests.at_us[requests.history.rows()]).all()
    row, slot = np.nonzero(outcomes[1].click)
    users, items = outcomes[1].requests.users[row], outcomes[1].shown[row, slot]
    back = np.isin(users, requests.users)
    assert back.any()  # someone who clicked comes again the next day
    for user, item in zip(users[back], items[back], strict=True):
        assert item in requests.take(np.flatnonzero(requests.users == user)).history.items
    earlier = world.requests(0)
    assert (earlier.history.items == outcomes[0].requests.history.items).all()
    assert set(day_of(earlier.at_us).tolist()) == {0}


def test_the_future_cannot_be_asked_for(world):
    with pytest.raises(ValueError, match="take World.step first"):
        world.requests(1)


def test_looking_changes_nothing():
    one, other = World(TINY, 5), World(TINY, 5)
    requests = one.requests()
    one.utility(oracle(one.truth), requests)
    one.candidates(requests)
    same(one.step(logger()), other.step(logger()))


def test_better_policies_are_worth_more(world):
    requests = world.requests()
    assert world.utility(oracle(world.truth), requests).mean() > 1.2 * world.utility(logger(), requests).mean() > 0


def test_tastes_drift_while_it_lives():
    world = World(TINY, 5)
    before = world.truth.taste(*_everybody(world))
    for _ in range(3):
        world.step(logger(), regret=False)
    after = world.truth.taste(*_everybody(world))
    moved = (before != after).any(1).mean()
    assert 0.05 < moved < 0.3  # about 3 days at 0.05


def _everybody(world):
    users = np.arange(1, TINY.users + 1, dtype=np.int32)
    from headrace.world.settings import DAY_US, START_US

    return users, np.full(len(users), START_US + world.day * DAY_US)
