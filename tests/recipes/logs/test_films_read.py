from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from headrace.recipes.logs.films_made_up import write_films
from headrace.recipes.logs.films_read import Films, FilmsReadConfig, films_read

SETTINGS = FilmsReadConfig(least=12, known=3, train=4, stop=2, test=3, others=9, newest=6, apart=0.3)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_films(folder)
    return folder


@pytest.fixture(scope="module")
def films(tables):
    return Films.of(tables)


@pytest.fixture(scope="module")
def read(films):
    return films_read(films, SETTINGS, 0)


@pytest.fixture(scope="module")
def table(tables, films):
    """Every rating as (user, film, moment, liked), from the table itself."""
    rows = pl.read_parquet(tables / "events.parquet")
    users, items = films.log.users.encode(rows["user_id"]), films.log.items.encode(rows["item_id"])
    return list(zip(users, items, rows["at"].dt.timestamp("us"), rows["value"] >= 4, strict=True))


def parts(read):
    return {"lists": read.lists, "held": read.held, "test": read.test}


def rows_until(lists, at_us):
    """Row of each (user, moment) that is asked once, by then."""
    asked = list(zip(lists.requests.users.tolist(), lists.requests.at_us.tolist(), strict=True))
    return {one: row for row, one in enumerate(asked) if one[1] <= at_us and asked.count(one) == 1}


def test_no_history_or_summary_holds_anything_at_or_after_its_request(read, table):
    liked = {(user, item): at for user, item, at, likes in table if likes}
    asked = 0
    for lists in parts(read).values():
        requests = lists.requests
        for row in range(len(lists)):
            past = requests.history.items[requests.history.offsets[row] : requests.history.offsets[row + 1]]
            user, at_us = requests.users[row], requests.at_us[row]
            moments = [liked[user, item] for item in past]
            assert moments == sorted(moments)
            assert moments[-1] < at_us
            newest = sorted(at for (who, _), at in liked.items() if who == user and at < at_us)[-6:]
            assert moments == newest
            early = read.early.history.items[read.early.history.offsets[user] : read.early.history.offsets[user + 1]]
            assert all(liked[user, item] < at_us for item in early), "what is written beforehand is of what was before"
            asked += 1
    assert asked > 100


def test_what_comes_later_moves_nothing_asked_before(tables, films, read, tmp_path):
    """Films liked after a moment are other films: the histories before it are the same, bit by bit."""
    events = pl.read_parquet(tables / "events.parquet")
    moment = events["at"].sort()[len(events) * 6 // 10]
    later = events["at"] > moment
    moved = events.with_columns(item_id=pl.when(later).then(pl.col("item_id").shuffle(seed=1)).otherwise("item_id"))
    for name in ("items", "users"):
        pl.read_parquet(tables / f"{name}.parquet").write_parquet(tmp_path / f"{name}.parquet")
    moved.write_parquet(tmp_path / "events.parquet")
    others = films_read(Films.of(tmp_path), SETTINGS, 0)
    at_us = int(moment.timestamp() * 1e6)
    compared = 0
    for one, other in zip(parts(read).values(), parts(others).values(), strict=True):
        mine, theirs = rows_until(one, at_us), rows_until(other, at_us)
        for name in mine.keys() & theirs.keys():
            past, again = one.requests.history.take([mine[name]]), other.requests.history.take([theirs[name]])
            assert np.array_equal(past.items, again.items)
            assert np.array_equal(past.at_us, again.at_us)
            compared += 1
    assert compared > 20


def test_a_list_is_one_liked_film_and_others_nobody_can_tell_by_a_rating(read, table, films):
    rated = {(user, item) for user, item, _, _ in table}
    first_liked: dict[int, int] = {}
    for _, item, at, likes in table:
        if likes:
            first_liked[item] = min(at, first_liked.get(item, at))
    for lists in parts(read).values():
        assert lists.candidates.items.shape[1] == 10
        assert (lists.label.sum(1) == 1).all()
        for row in range(len(lists)):
            user, at_us = lists.requests.users[row], lists.requests.at_us[row]
            items, right = lists.candidates.items[row], lists.label[row] > 0
            assert len(set(items)) == 10
            assert (user, items[right][0]) in rated
            assert all((user, item) not in rated for item in items[~right])
            assert all(first_liked[item] < at_us for item in items[~right])
    places = read.lists.label.argmax(1)
    assert len(set(places)) == 10, "the liked film stands anywhere"


def test_each_list_has_one_use_and_comes_after_what_was_learned_from(read):
    """Training before stopping before the test, for each user; those apart are asked alone."""
    ids = np.concatenate([of.requests.ids for of in parts(read).values()])
    assert len(set(ids)) == len(ids)
    assert (np.unique(read.lists.requests.users, return_counts=True)[1] <= 4).all()
    tested = np.unique(read.test.requests.users)
    assert (np.unique(read.test.requests.users, return_counts=True)[1] == 3).all()
    assert 0 < read.apart[tested].sum() < len(tested)
    for user in tested:
        learned, held, asked = (of.requests.at_us[of.requests.users == user] for of in parts(read).values())
        events = read.interactions.history.at_us[read.interactions.history.rows() == user]
        if read.apart[user]:
            assert len(learned) == len(held) == len(events) == 0
            continue
        assert learned.max(initial=0) < held.min(initial=asked.min()) <= asked.min()
        assert events.max() < held.min(initial=asked.min())


def test_draws_are_the_seeds(films, read):
    again, other = films_read(films, SETTINGS, 0), films_read(films, SETTINGS, 1)
    assert np.array_equal(again.test.candidates.items, read.test.candidates.items)
    assert not np.array_equal(other.test.candidates.items, read.test.candidates.items)
    assert np.array_equal(other.test.requests.ids, read.test.requests.ids), "the same users and moments, so they can be paired"
    assert not np.array_equal(other.lists.requests.ids, read.lists.requests.ids)
    assert np.array_equal(other.apart, read.apart)


def test_who_has_too_few_is_left_out(films):
    counts = films.log.store.events.lengths
    for least in (12, 25):
        users = films_read(films, replace(SETTINGS, least=least), 0).test.requests.users
        assert counts[users].min() >= least


def test_films_read_as_words(films):
    item = int(films.log.items.encode(["f3"])[0])
    title, genres, overview = (films.words[part][item] for part in ("title", "genres", "overview"))
    assert title == "Film 3"
    assert sorted(genres.split(", ")) == [name for name, has in zip(films.names, films.genres[item], strict=True) if has]
    assert films.texts("genres", "overview")[item] == f"{genres}\n{overview}"
    assert films.texts("title")[0] == ""
    assert films.digest == films.digest
