import numpy as np
import pytest

from headrace.recipes.logs.films_made_up import write_films
from headrace.recipes.logs.genres import GenresConfig, Ratings, split_ratings


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_films(folder)
    return Ratings.of(folder)


@pytest.fixture(scope="module")
def log(ratings):
    return split_ratings(ratings, GenresConfig(genres=3, of=5))


def test_rows_of_a_genre_are_its_films_in_order_of_time(ratings, log):
    then, last = log.moments_us
    assert len(log.parts) == 3
    assert [part.rows for part in log.parts] == sorted((part.rows for part in log.parts), reverse=True)
    for part in log.parts:
        kind = list(ratings.names).index(part.name)
        for lists, start, end in ((part.lists, then, last), (part.held, last, log.until_us)):
            wanted = (ratings.at_us >= start) & (ratings.at_us < end) & ratings.kinds[ratings.items, kind]
            assert len(lists) == wanted.sum() > 0
            np.testing.assert_array_equal(lists.label[:, 0], ratings.value[wanted] >= 4)
        assert part.test.requests.at_us.min() >= log.until_us
        history = part.test.requests.history
        assert ratings.kinds[history.items, kind].all()
        assert (history.at_us < np.repeat(part.test.requests.at_us, history.lengths)).all()
    assert log.whole.held.requests.at_us.max() < then
    assert set(log.whole.lists.tasks) == {"liked", "loved"}


def test_who_is_cold_liked_nothing_of_the_genre_before_the_test(ratings, log):
    for part in log.parts:
        kind = list(ratings.names).index(part.name)
        liked = (ratings.value >= 4) & ratings.kinds[ratings.items, kind]
        before = set(ratings.users[liked & (ratings.at_us < log.until_us)].tolist())
        assert not before & set(part.cold.requests.users.tolist())
        wanted = liked & (ratings.at_us >= log.until_us) & ~np.isin(ratings.users, list(before))
        assert part.cold.worth.sum() == wanted.sum()


def test_codes_are_of_each_films_genres(ratings):
    for item in (1, 7, 50):
        named = {ratings.names[code - 1] for code in ratings.codes[item] if code}
        assert named == {name for name, has in zip(ratings.names, ratings.kinds[item], strict=True) if has}
