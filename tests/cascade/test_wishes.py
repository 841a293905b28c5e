"""Whether pages follow wishes, on a shop whose items are made of wool, steel or glass in turn (category "third 0" is wool)."""

import polars as pl
import pytest

from headrace.cascade.run import build, open_run
from headrace.cascade.wishes import followed, named_in
from headrace.contracts.errors import ConfigError
from headrace.data.vocabulary import Vocabulary
from tests.cascade.shop import write_rich_shop

GENRES = Vocabulary(pl.Series(["Drama", "Comedy", "Horror", "Film-Noir", "Romance"]))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wishes")
    build(write_rich_shop(folder), folder / "run", name="rich")
    return open_run(folder / "run")


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ("comedies, no horror", {"Comedy": 1, "Horror": -1}),
        ("Nothing romantic. Film noir please", {"Romance": -1, "Film-Noir": 1}),
        ("something short", {}),
    ],
)
def test_a_wish_names_categories_with_their_polarity(wish, named):
    assert named_in(wish, GENRES) == named


def test_shares_move_the_way_that_was_wished(pipeline):
    wool, none = followed(pipeline, ["wool", "no wool"], categories=["third 0"], users=30)
    assert (wool.category, wool.wish, none.wish) == ("third 0", "wool", "no wool")
    assert wool.without.n == 30
    assert wool.difference.lo > 0
    assert none.difference.hi < 0
    assert wool.share.value[0] - wool.without.value[0] == pytest.approx(wool.difference.value)
    assert not wool.holds, "the wish does not name the category, so nothing was promised of it"


def test_it_is_the_same_for_the_same_seed(pipeline):
    first, again = (followed(pipeline, ["steel"], categories=["third 1"], users=10)[0] for _ in range(2))
    assert first.difference == again.difference


def test_a_wish_that_names_nothing_needs_a_category(pipeline):
    with pytest.raises(ConfigError, match="no category of the catalogue is named in the wish"):
        followed(pipeline, ["wool"], users=5)
    with pytest.raises(ConfigError, match='"third 9" is no category'):
        followed(pipeline, ["wool"], categories=["third 9"], users=5)
