import numpy as np

from headrace.contracts.rng import rng
from headrace.world.catalogue import Catalogue, Shelves
from headrace.world.settings import WorldConfig
from tests.world.tiny import TINY

WIDE = WorldConfig(users=1, items=20_000)


def test_topics_follow_zipf():
    catalogue = Catalogue.drawn(WIDE, 0)
    share = np.arange(1, 41.0) ** -1.1
    wanted = 20_000 * share / share.sum()
    found = np.bincount(catalogue.topic[1:], minlength=40)
    assert ((found - wanted) ** 2 / wanted).sum() < 73  # chi-square of 39, one in a thousand


def test_vectors_and_popularity_are_what_they_are_said_to_be():
    catalogue = Catalogue.drawn(WIDE, 0)
    items = catalogue.vectors[1:]
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1)
    assert abs(catalogue.popularity[1:].mean()) < 1e-9
    assert abs(catalogue.popularity[1:].std() - 0.7) < 1e-9
    centres = catalogue.centres / np.linalg.norm(catalogue.centres, axis=1, keepdims=True)
    own = (items * centres[catalogue.topic[1:]]).sum(1)
    other = (items * centres[(catalogue.topic[1:] + 1) % 40]).sum(1)
    assert own.mean() > 0.9
    assert abs(other.mean()) < 0.2


def test_items_are_numbered_as_they_arrive():
    catalogue = Catalogue.drawn(TINY, 0)
    assert (np.diff(catalogue.arrival_day[1:]) >= 0).all()
    assert catalogue.known(-1) == catalogue.known(0) == TINY.old_items
    assert catalogue.known(TINY.days - 1) == TINY.items
    assert len(catalogue.frame(TINY, 1)) == catalogue.known(1)


def test_texts_have_twelve_words_of_the_topic_and_four_of_all():
    catalogue = Catalogue.drawn(TINY, 0)
    frame = catalogue.frame(TINY, TINY.days)
    words = frame["text"].str.split(" ")
    assert words.list.len().unique().to_list() == [16]
    topics = [{w for text in words.filter(catalogue.topic[1:] == t).list.head(12) for w in text} for t in (0, 1)]
    assert max(map(len, topics)) <= 30
    assert not topics[0] & topics[1]
    assert len({word for text in words.list.tail(4) for word in text}) <= 100
    assert frame["categories"].list.first().to_list() == [catalogue.names[t] for t in catalogue.topic[1:]]
    assert "quality" not in frame.columns


def test_a_shelf_is_drawn_by_softmax_of_popularity():
    catalogue = Catalogue.drawn(TINY, 0)
    shelves, draws = Shelves(catalogue, 0), rng(0, "shelf").random(50_000)
    drawn = shelves.draw(np.zeros(len(draws), np.int64), draws)
    there = np.flatnonzero((catalogue.topic == 0) & (catalogue.arrival_day < 0))
    weight = np.exp(catalogue.popularity[there])
    wanted = len(draws) * weight / weight.sum()
    found = np.bincount(drawn, minlength=len(catalogue) + 1)
    assert found[there].sum() == len(draws)
    statistic, freedom = ((found[there] - wanted) ** 2 / wanted).sum(), len(there) - 1
    assert statistic < freedom + 4 * np.sqrt(2 * freedom)


def test_an_empty_topic_is_the_whole_catalogue():
    few = WorldConfig(users=1, items=12, topics=40, nearest=4, popular=2, uniform=1, considered=5, slots=2, days=1)
    catalogue = Catalogue.drawn(few, 0)
    empty = np.setdiff1d(np.arange(40), catalogue.topic)[:1]
    drawn = Shelves(catalogue, 0).draw(np.repeat(empty, 2000), rng(0, "shelf").random(2000))
    assert len(np.unique(drawn)) > 8
