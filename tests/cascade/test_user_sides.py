import numpy as np
import polars as pl
import pytest
import torch

from headrace.cascade.run import planned
from headrace.cascade.user_sides import StoredSides, read_keys, sides_told, user_sides
from headrace.data.rank_inputs import user_batch
from tests.cascade.shop import write_rich_shop

RANK = """
[rank]
use = "mean_text"
[rank.mean_text]
history = 6
side_dim = 8
width = 6
reader = { dim = 8, heads = 2, layers = 1, tokens = 8, vocabulary = 300 }
train = { epochs = 1 }
"""


def write_text_shop(folder):
    """Customers 3 and 7 refuse to be personalised for."""
    toml = write_rich_shop(folder)
    toml.write_text(toml.read_text() + RANK)
    users = pl.read_csv(folder / "users.csv")
    refuse = pl.col("user_id").is_in(["c3", "c7"])
    users.with_columns(consent_personalise=~refuse).write_csv(folder / "users.csv")
    return toml


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    toml = write_text_shop(tmp_path_factory.mktemp("sides"))
    return planned(toml, toml.parent / "run")


@pytest.fixture(scope="module")
def scorer(shop):
    return shop.scoring("rank").scorer


def test_everyone_s_state_is_found_by_what_is_read_and_is_what_the_scorer_makes(shop, scorer):
    told: list[tuple[str, int, int]] = []
    shop.graph.progress = lambda what, done, of, note="": told.append((what, done, of))
    made = user_sides(shop, "rank", scorer)
    assert made is not None
    assert told[-1] == ("user states of rank", 38, 38)
    stored = StoredSides(made)
    users = np.arange(1, 41, dtype=np.int32)
    batch = user_batch(shop.requests_of(users, np.full(40, shop.cuts.last_us + 1)), scorer.schema)
    rows = stored.rows(read_keys(batch, scorer.schema))
    there = rows >= 0
    assert shop.log.users.decode(users[~there]) == ["c3"], "c7 read what somebody else read, whose state it is"
    with torch.inference_mode():
        state = scorer.user(batch)
    assert set(stored.states) == set(state)
    for name, values in state.items():
        np.testing.assert_allclose(stored.states[name][rows[there]], values[torch.from_numpy(there)], rtol=0, atol=1e-6)
        assert stored.states[name].dtype == values.numpy().dtype
    again = user_sides(shop, "rank", scorer)
    assert again is not None
    assert again.key == made.key
    assert made.manifest.personal
    assert " of 38 users with a history" in sides_told(made)["worked out beforehand"]


def test_a_history_that_moved_on_is_not_found(shop, scorer):
    made = user_sides(shop, "rank", scorer)
    assert made is not None
    stored = StoredSides(made)
    batch = user_batch(shop.requests_of(np.array([1], np.int32), np.array([shop.cuts.last_us + 1])), scorer.schema)
    assert stored.rows(read_keys(batch, scorer.schema))[0] >= 0
    batch["history"] = batch["history"].roll(1, 1)
    assert stored.rows(read_keys(batch, scorer.schema)).tolist() == [-1]


def test_of_a_scorer_that_reads_when_it_is_asked_there_are_none(shop):
    assert user_sides(shop, "prerank", shop.scoring("prerank").scorer) is None
