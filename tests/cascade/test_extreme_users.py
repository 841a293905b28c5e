"""Users of 0, 1 and 100,000 events and events out of order, from a file to a page."""

import numpy as np
import polars as pl
import pytest

from headrace.cascade.run import planned
from headrace.contracts.rng import rng
from headrace.contracts.serving import ServeConfig
from headrace.serve.messages import Event
from headrace.serve.scorers import kept_up
from headrace.serve.service import Service
from tests.cascade.shop import RING, write_rich_shop

MANY, START_S, DAY_S = 100_000, 1_700_000_000, 86_400
RANKS = {
    "hisac": "kept_per_level = [2, 2]\nages = false",
    "sim": "",
}
RANK = """
[ids]
levels = 2
codes = 4
[rank]
use = "{0}"
most_requests = 20
[rank.{0}]
item_dim = 8
hidden = [8]
history = 1000
kept = 4
batch_size = 8
train = {{ epochs = 1 }}
{1}
"""


def write_extreme_shop(folder):
    """The shop with a user of one event and one of 100,000; "z" has a row among the users and no event. Rows in no order."""
    toml = write_rich_shop(folder)
    draw, events = rng(0, "extreme"), pl.read_csv(folder / "events.csv")
    when = START_S + np.sort(draw.integers(0, 14 * DAY_S, MANY))
    many = pl.DataFrame({
        "customer": "all day", "product": [f"p{n}" for n in draw.integers(0, RING, MANY)], "when": when, "kind": "view",
    })  # fmt: skip
    once = events.head(1).with_columns(customer=pl.lit("once"))
    pl.concat([events, many, once]).sample(fraction=1.0, shuffle=True, seed=0).write_csv(folder / "events.csv")
    (folder / "users.csv").write_text((folder / "users.csv").read_text() + "\nz,Bern")
    toml.write_text(toml.read_text().replace("k = 12", 'k = 12\nuse = ["itemknn", "popularity"]', 1))
    return toml


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_extreme_shop(tmp_path_factory.mktemp("extreme"))


@pytest.fixture(scope="module", params=list(RANKS))
def shop(request, base):
    """What comes before the ranker is made once."""
    toml = base.with_name(f"{request.param}.toml")
    toml.write_text(base.read_text() + RANK.format(request.param, RANKS[request.param]))
    return planned(toml, base.parent / "run")


def viewed(user, item, at):
    return Event(user_id=user, item_id=item, at=at, kind="view", event_id=f"{user} {item} {at}")


def test_each_gets_a_page_with_finite_scores(shop, tmp_path):
    service = Service(shop, tmp_path, ServeConfig(rotate_s=1000.0))
    lengths = {}
    for user in ("z", "once", "all day", "never heard of"):
        given = service.recommend(user, f"request of {user}")
        walked = service.walk(given.asked)
        lengths[user] = int(walked.requests.history.lengths[0])
        assert np.isfinite(walked.scored["rank"].scores["rank"][walked.scored["rank"].there]).all()
        assert given.page or user == "all day", "who has had every item is shown none of them again"
    assert lengths == {"z": 0, "once": 1, "all day": 1000, "never heard of": 0}
    service.close()


def test_events_that_are_sent_out_of_order_are_as_good_as_in_order(shop, tmp_path, monkeypatch):
    """Three in order, and the same three for another user, newest first with a request after each."""
    monkeypatch.setattr(kept_up, "WORTH", 1)
    service = Service(shop, tmp_path, ServeConfig(rotate_s=1000.0))
    sent = [("p3", "2024-03-01T10:00:00Z"), ("p4", "2024-03-01T11:00:00Z"), ("p5", "2024-03-01T12:00:00Z")]
    service.receive([viewed("orderly", *one) for one in sent])
    for number, one in enumerate(reversed(sent)):
        service.recommend("disorderly", f"before {number}")
        service.receive([viewed("disorderly", *one)])
    found = [service.walk(service.recommend(user, user).asked).scored["rank"] for user in ("orderly", "disorderly")]
    np.testing.assert_array_equal(found[0].items, found[1].items)
    np.testing.assert_allclose(found[0].scores["rank"], found[1].scores["rank"], atol=1e-5)
    service.close()


def test_one_event_more_of_a_hundred_thousand_is_in_the_next_answer(shop, tmp_path):
    service = Service(shop, tmp_path, ServeConfig(rotate_s=1000.0))
    service.recommend("all day", "first")
    for number in range(3):
        service.receive([viewed("all day", f"p{number}", f"2024-03-01T10:0{number}:00Z")])
        requests = service.requests(service.recommend("all day", f"r{number}").asked)
        assert shop.log.items.decode(requests.history.items[-1:]) == [f"p{number}"]
        assert requests.history.lengths.tolist() == [1000]
    service.close()
