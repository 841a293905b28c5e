"""Trailing counts over one Redis: at every server what the trainer makes of the same events, whoever took them in."""

import shutil
import threading
from datetime import UTC, datetime, timedelta

import pytest

from headrace.cascade.run import open_run
from headrace.contracts.serving import ServeConfig
from headrace.data.counts import DAY_US
from headrace.data.log import Log
from headrace.serve.messages import Event
from headrace.serve.service import Service
from headrace.serve.state import redis_arrivals
from headrace.serve.state.counting import OnlineCounting
from headrace.serve.state.redis_state import RedisState
from tests.data.tables import some_events, write_tables
from tests.serve.redis_process import needs_redis
from tests.serve.state.test_layered import LAST_US, N_EVENTS, row
from tests.serve.test_point_in_time import CANDIDATES, assert_as_rebuilt, one_month
from tests.serve.workers.started import until

pytestmark = needs_redis


class InTurns:
    """What one takes in another is asked about."""

    def __init__(self, services):
        self.services, self.asked = services, 0

    def receive(self, events):
        self.services[self.asked].receive(events)
        self.asked = (self.asked + 1) % len(self.services)

    def __getattr__(self, name):
        return getattr(self.services[self.asked], name)


def test_requests_carry_what_a_later_build_makes_of_them_at_every_server(rich, tmp_path, redis):
    pipeline = open_run(rich)
    clock = [int(pipeline.log.store.events.at_us.max()) + DAY_US]
    settings = ServeConfig(runtime="torch", state="redis", redis_url=redis.url, rotate_s=1000.0)
    services = [Service(pipeline, tmp_path / name, settings, lambda: clock[-1]) for name in ("one", "other")]
    served = one_month(InTurns(services), clock, 400)
    items = [str(one) for one in pipeline.log.items.decode(CANDIDATES[0])]
    services[0].event_log.write()
    for one in services:
        one.close()
    (tmp_path / "other" / "events").mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "other" / "events", tmp_path / "one" / "events", dirs_exist_ok=True)
    assert_as_rebuilt(pipeline, served, items, tmp_path / "one", tmp_path / "later")
    assert len({str(one["user.count_7d"]) for one in served.features}) > 3


@pytest.fixture
def opened(redis, tmp_path):
    tables, made = write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US)), []

    def open_one(name):
        (tmp_path / name).mkdir()
        made.append(RedisState(tmp_path / name, Log.from_tables(tables), "k", ServeConfig(redis_url=redis.url, map_gb=0.1)))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def events_of(counting):
    """So many of all users."""
    return len(counting._times[0])


def test_who_comes_late_reads_all_and_nobody_reads_anything_twice(opened, monkeypatch):
    monkeypatch.setattr(redis_arrivals, "_AT_ONCE", 5)
    state, ended, sent = opened("one"), threading.Event(), list[int]()

    def sends():
        while not ended.is_set():
            state.receive(row(f"new {len(sent) % 7}", "i3", len(sent), f"e{len(sent)}"))
            sent.append(1)

    sending = threading.Thread(target=sends)
    sending.start()
    counted: list[OnlineCounting] = []
    try:
        while len(counted) < 5:
            until(lambda: len(sent) > 30 * len(counted))
            counted.append(OnlineCounting(opened(f"late {len(counted)}"), state.log.counts))
    finally:
        ended.set()
        sending.join()
    for one in counted:
        one.of(["new 1"])
        assert events_of(one) == len(sent)


def test_too_far_behind_or_after_redis_lost_all_everything_is_read_anew(opened):
    state = opened("one")
    state.receive(row("new", "i3", 5, "e0"))
    counting = OnlineCounting(state, state.log.counts)
    client = state.server.client
    state.receive(row("new", "i3", 6, "e1"))
    client.ltrim("headrace:arrived", 1, 0)
    counting.of(["new"])
    assert events_of(counting) == 2
    client.flushall()
    state.receive(row("new", "i3", 7, "e2"))
    counting.of(["new"])
    assert events_of(counting) == 1


def test_an_erased_user_s_arrivals_are_not_told(opened):
    state = opened("one")
    state.receive(row("first", "i3", 5, "e"))
    since = state.arrived
    state.receive(row("new", "i3", 5, "e0"))
    state.receive(row("other", "i4", 6, "e1"))
    state.forget("new")
    _, came = state.newer(since)
    assert [item for _, item, *_ in came] == [state.items["i4"]]


def test_while_redis_is_away_what_was_known_counts(opened, redis):
    state = opened("one")
    state.receive(row("new", "i3", 5, "e0"))
    counting = OnlineCounting(state, state.log.counts)
    redis.kill()
    counting.of(["new"])
    assert events_of(counting) == 1
    redis.start()


def test_a_page_made_without_redis_is_worked_out_again_as_it_was(rich, tmp_path, redis):
    settings = ServeConfig(runtime="torch", state="redis", redis_url=redis.url, rotate_s=1000.0)
    one, other = (Service(open_run(rich), tmp_path / name, settings) for name in ("one", "other"))
    at = datetime.now(UTC) - timedelta(hours=1)
    other.receive([Event(user_id="c1", item_id="p1", kind="view", event_id=f"e{n}", at=at) for n in range(5)])
    redis.kill()
    given = one.recommend("c1", "r")
    redis.start()
    until(lambda: one.state.rows_told() is not None)
    assert given.asked.skipped == ("history", "items")
    assert given.walked is not None
    before, after = given.walked.requests.features, one.requests(given.asked).features
    assert {name: codes.tolist() for name, codes in after.items()} == {name: codes.tolist() for name, codes in before.items()}
    for service in (one, other):
        service.close()
