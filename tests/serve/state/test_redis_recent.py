"""Answers given lately, known to all servers on one Redis."""

import pytest

from headrace.cascade.run import open_run
from headrace.contracts.serving import ServeConfig
from headrace.serve.explain import explain
from headrace.serve.service import Service
from tests.serve.redis_process import needs_redis
from tests.serve.workers.started import until

pytestmark = needs_redis


@pytest.fixture
def services(own_run, tmp_path, redis):
    pipeline = open_run(own_run)
    settings = ServeConfig(state="redis", redis_url=redis.url, rotate_s=1000.0, recent=3)
    made = [Service(pipeline, tmp_path / name, settings) for name in "ab"]
    yield made
    for one in made:
        one.close()


def test_a_request_sent_again_elsewhere_gets_its_page_and_is_explained_there(services):
    one, other = services
    given = one.recommend("c1", "r-1", seed=3)
    again = other.recommend("c1", "r-1", seed=3)
    assert again.again
    assert (again.page, again.asked) == (given.page, given.asked)
    told = explain(other, "r-1")
    assert told is not None
    assert told.worked_out_again
    assert [shown.item_id for shown in told.items] == [shown.item_id for shown in given.page]


def test_the_first_of_two_answers_counts_and_the_oldest_goes(services):
    one, other = services
    for number in range(4):
        services[number % 2].recommend("c1", f"r-{number}")
    assert [other.remembered(f"r-{number}") is not None for number in range(4)] == [False, True, True, True]
    kept = one.remembered("r-1")
    noted = []
    assert not other.shared.recent.put(kept, lambda: noted.append("r-1"))
    assert noted == []


def test_an_erasure_takes_them_from_all(services, redis):
    one, other = services
    one.recommend("c1", "theirs")
    one.recommend("c2", "another's")
    other.forget("c1")
    assert one.remembered("theirs") is None
    assert one.remembered("another's") is not None
    client = one.state.server.client
    assert (client.hlen("headrace:recent"), client.llen("headrace:asked")) == (1, 1)
    assert one.shared.recent.put(one.remembered("another's")) is False


def test_while_redis_is_away_a_server_remembers_what_it_answered_itself(services, redis):
    one, other = services
    one.recommend("c1", "before")
    redis.kill()
    assert one.recommend("c1", "meanwhile").asked.skipped == ("history", "items")
    assert one.recommend("c1", "meanwhile").again
    redis.start()
    until(lambda: other.remembered("before") is not None)
    assert one.recommend("c1", "meanwhile").again, "still"
    assert not other.recommend("c1", "meanwhile").again, "which another server could not hear of"
