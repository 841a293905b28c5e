import numpy as np

from headrace.contracts.requests import History
from headrace.world.live import World
from headrace.world.population import Views, appended
from headrace.world.settings import DAY_US, START_US, WorldConfig, day_of
from tests.world.tiny import TINY


def test_activity_has_the_median_asked_for():
    people = World(WorldConfig(items=500), 0).people
    assert abs(np.log(people.activity[1:]).mean() - np.log(40)) < 4 * 0.8 / np.sqrt(2000)


def test_views_before_day_0_are_of_old_users_and_old_items(world):
    before = world.people.before()
    assert (before.at_us < START_US).all()
    assert (before.at_us >= START_US - TINY.history_days * DAY_US).all()
    assert before.items.max() <= TINY.old_items
    assert before.items.min() >= 1
    assert before.users.max() == world.people.known(0)
    topics = world.catalogue.topic[before.items]
    liked = world.people.tastes.mixtures(0)[before.users, topics]
    assert liked.mean() > 3 / TINY.topics


def test_visits_are_once_a_day_between_six_and_twenty(world):
    users, at_us = world.people.visits(2)
    assert len(np.unique(users)) == len(users)
    assert (np.diff(at_us) >= 0).all()
    hours = (at_us - START_US) / (DAY_US / 24) - 48
    assert hours.min() >= 6
    assert hours.max() < 20
    assert (world.people.joined_day[users] <= 2).all()


def test_who_was_active_comes_more_often(world):
    often = np.zeros(TINY.users + 1)
    for day in range(30):
        often[world.people.visits(day)[0]] += 1
    old = np.arange(1, world.people.known(0) + 1)
    order = old[np.argsort(world.people.activity[old])]
    assert often[order[-50:]].mean() > often[order[:50]].mean() + 5


def test_users_join_over_the_days(world):
    frames = [world.people.frame(day) for day in range(TINY.days)]
    assert len(frames[0]) < len(frames[-1]) == TINY.users
    assert frames[-1]["user_id"].n_unique() == TINY.users
    assert frames[0].equals(frames[-1].head(len(frames[0])))


def test_appended_keeps_each_users_order():
    events = History(np.array([0, 0, 2, 3]), np.array([1, 2, 3], np.int32), np.array([10, 20, 15]))
    views = Views(np.array([2, 1, 1], np.int32), np.array([6, 5, 4], np.int32), np.array([40, 50, 30]))
    made = appended(events, views)
    assert made.offsets.tolist() == [0, 0, 4, 6]
    assert made.items.tolist() == [1, 2, 4, 5, 3, 6]
    assert made.at_us.tolist() == [10, 20, 30, 50, 15, 40]


def test_browsing_falls_on_its_day(world):
    views = world.people.browsing(2)
    assert set(day_of(views.at_us).tolist()) == {2}
    assert (world.catalogue.arrival_day[views.items] <= 2).all()
