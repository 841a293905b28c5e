"""Items over a real Redis: what was said at one server holds at all of them, once, also after Redis lost it."""

import threading

import polars as pl
import pytest

from headrace.contracts.serving import ServeConfig
from headrace.data.log import Log
from headrace.serve.catalogue.redis_items import RedisCatalogue
from headrace.serve.service import Service
from headrace.serve.state.layered import LayeredState
from headrace.serve.state.opening import open_catalogue
from headrace.serve.state.redis_scripts import LEASE
from headrace.serve.state.redis_server import Unavailable
from headrace.serve.state.redis_state import RedisState
from tests.data.tables import some_events, write_tables
from tests.serve.catalogue.test_kept import (  # noqa: F401 the same is asked of the embedded form
    BLANK,
    POT,
    SCHEMA,
    test_a_deleted_item_stays_so_and_comes_back_as_a_new_one,
    test_coming_and_going_is_known_as_of_each_moment,
    test_rows_are_written_once_as_the_contract_s_table,
)
from tests.serve.redis_process import needs_redis

pytestmark = needs_redis


@pytest.fixture
def opened(redis, tmp_path):
    """Opens a server's catalogue in a folder of its own."""
    tables, made = write_tables(tmp_path / "tables", some_events(n=10, last_us=10)), []

    def open_one(name, **settings):
        (tmp_path / name).mkdir(exist_ok=True)
        config = ServeConfig(state="redis", redis_url=redis.url, map_gb=0.1, **settings)
        made.append(RedisState(tmp_path / name, Log.from_tables(tables), "k", config))
        found = open_catalogue(made[-1])
        assert isinstance(found, RedisCatalogue)
        found.schema = SCHEMA
        return found

    yield open_one
    for state in made:
        if state.views:
            state.close()


@pytest.fixture
def catalogue(opened):
    return opened("a")


def test_what_is_not_sent_stays_and_what_is_the_same_changes_nothing(catalogue):
    assert catalogue.put([{"item_id": "pot", "price": 4.0}, {"item_id": "lid", "title": "Lid"}], {"pot": POT}, 10) == [True, True]
    stamp = catalogue.stamp
    assert catalogue.get("pot").row == POT | {"price": 4.0}
    assert catalogue.get("lid").row == BLANK | {"item_id": "lid", "title": "Lid"}
    assert catalogue.put([{"item_id": "pot", "price": 4.0}, {"item_id": "lid"}], {"pot": POT}, 20) == [False, False]
    assert catalogue.stamp == stamp
    assert catalogue.put([{"item_id": "a"}, {"item_id": "a", "title": "A"}, {"item_id": "a"}], {}, 20) == [True, True, False]
    assert catalogue.get("a").at_us == 21
    assert catalogue.stamp == stamp + 2


def test_another_server_s_changes_are_followed(opened, monkeypatch):
    one, other = opened("a"), opened("b")
    assert other.since(-1) == (0, [])
    one.put([{"item_id": "a"}, {"item_id": "b"}, {"item_id": "a", "title": "A"}], {}, 10)
    stamp, found = other.since(0)
    assert {kept.item_id: kept.row["title"] for kept in found} == {"a": "A", "b": None}
    assert other.since(stamp) == (stamp, [])
    other.delete("a", None, 20)
    assert [(kept.item_id, kept.deleted) for kept in one.since(stamp)[1]] == [("a", True)]
    one.put([{"item_id": "c"}], {}, 30)
    assert [kept.item_id for kept in one.since(stamp)[1]] == ["a", "c"]
    assert len(one.since(stamp - 4)[1]) == 3, "of before the first change: all of them"


def test_servers_that_change_one_item_at_once_change_it_one_after_the_other(opened):
    servers = [opened(name) for name in "abc"]
    below = {"pot": POT}

    def puts(server, column):
        for number in range(30):
            server.put([{"item_id": "pot", column: number}], below, 10)

    threads = [threading.Thread(target=puts, args=pair) for pair in zip(servers, ("price", "grams", "seen"), strict=True)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    kept = servers[0].get("pot")
    assert (kept.row["price"], kept.row["grams"], kept.row["seen"], kept.at_us) == (29, 29, 29, 99)
    assert servers[0].rows.count() == 90


def test_rows_are_in_one_server_s_files(opened, tmp_path):
    one, other = opened("a"), opened("b")
    one.put([{"item_id": "pot"}], {}, 10)
    other.put([{"item_id": "lid"}], {}, 20)
    assert (one.write_items(tmp_path / "files a"), other.write_items(tmp_path / "files b")) == (2, 0)
    other.delete("lid", None, 30)
    one.server.client.delete(LEASE)
    assert other.write_items(tmp_path / "files b") == 1
    files = {name: sorted((tmp_path / f"files {name}").glob("items/*/*.parquet")) for name in "ab"}
    assert [[pl.read_parquet(path)["item_id"].to_list() for path in files[name]] for name in "ab"] == [
        [["pot", "lid"]],
        [["lid"]],
    ]


def test_while_redis_is_away_what_was_known_holds_and_nothing_is_put(opened, redis):
    one = opened("a")
    one.delete("pot", POT, 10)
    stamp, _ = one.since(-1)
    redis.kill()
    assert one.since(stamp) == (stamp, [])
    assert one.get("pot").deleted
    for refused in (lambda: one.put([{"item_id": "lid"}], {}, 20), lambda: one.delete("lid", None, 20), lambda: one.since(-1)):
        with pytest.raises(Unavailable):
            refused()
    redis.start()


def test_a_redis_that_lost_everything_gets_it_back_from_a_server_s_copy(opened):
    one, other = opened("a"), opened("b")
    one.delete("pot", POT, 10)
    one.put([{"item_id": "lid"}, {"item_id": "old"}], {}, 20)
    stamp, _ = one.since(-1)
    one.server.client.flushall()
    other.put([{"item_id": "old", "title": "New"}], {}, 30)
    assert one.get("pot") is None
    now, found = one.since(stamp)
    assert now != stamp
    assert {kept.item_id: kept.deleted for kept in found} == {"old": False, "pot": True, "lid": False}
    assert other.get("pot").deleted
    assert other.get("old").row["title"] == "New", "what was said later stands"


def test_all_items_are_read_in_parts_each_once(opened, monkeypatch):
    one, other = opened("a"), opened("b")
    one.put([{"item_id": f"item {number}"} for number in range(700)], {}, 10)  # more than Redis keeps in one piece
    asked, after = [], other._after

    def counted(place):
        asked.append(place)
        return after(place)

    monkeypatch.setattr(other, "_after", counted)
    monkeypatch.setattr("headrace.serve.catalogue.redis_items._AT_ONCE", 100)
    stamp, found = other.since(-1)
    assert sorted(kept.item_id for kept in found) == sorted(f"item {number}" for number in range(700))
    assert len(asked) > 5
    one.delete("item 3", None, 20)
    assert [kept.item_id for kept in other.since(stamp)[1]] == ["item 3"]


def test_what_was_put_in_the_time_of_the_embedded_state_goes_on_to_hold(opened, tmp_path):
    (tmp_path / "a").mkdir()
    before = LayeredState(tmp_path / "a", Log.from_tables(tmp_path / "tables"), "k", map_gb=0.1)
    embedded = open_catalogue(before)
    embedded.delete("pot", POT, 10)
    embedded.write_items(tmp_path / "files")
    before.close()
    assert [kept.item_id for kept in opened("a").since(-1)[1]] == ["pot"]
    assert opened("b").get("pot").deleted


def test_deleted_at_one_server_it_is_recommended_by_none(pipeline, tmp_path, redis):
    settings = ServeConfig(state="redis", redis_url=redis.url, rotate_s=1000.0)
    services = [Service(pipeline, tmp_path / name, settings) for name in "abc"]
    for number in range(6):
        at, *others = services[number % 3 :] + services[: number % 3]
        shown = others[0].recommend("c1", f"before {number}").page[0].item_id
        assert at.shelf.catalogue.delete(shown, at.shelf.table.rows([shown]).get(shown), at.now_us())
        for place, service in enumerate(services):
            page = service.recommend("c1", f"after {number} {place}").page
            assert shown not in [one.item_id for one in page]
            assert shown not in [one.item_id for one in service.recommend("c1", f"before {number}").page], "also sent again"
    for service in services:
        service.close()
    service = Service(pipeline, tmp_path / "new", settings)
    assert shown not in [one.item_id for one in service.recommend("c1", "r").page], "a server that is started knows it too"
    service.close()
