import numpy as np
import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.data.counts import DAY_US
from headrace.data.features import BAG_WIDTH, BINS, Features, FeaturesConfig
from headrace.data.log import Log
from tests.data.tables import write_tables

CUT = 100
ITEMS = {
    "item_id": ["a", "a", "b", "c", "d"],
    "valid_from": [0, 50, 10, 20, CUT],
    "colour": ["red", "blue", "red", None, "green"],
    "price": [1.0, 2.0, 3.0, None, 4.0],
    "categories": [["x", "y"], ["x"], ["y"], [], ["z"]],
}
USERS = {"user_id": ["u", "u"], "valid_from": [0, 60], "city": ["Bern", "Rome"]}
EVENTS = [("u", "a", 5), ("u", "b", 15), ("u", "c", 25), ("u", "d", 120)]


@pytest.fixture
def log(tmp_path):
    return Log.from_tables(write_tables(tmp_path / "log", EVENTS, ITEMS, USERS))


def codes_at(features, log, name, at_us):
    codes = features.items_at(at_us)[name]
    return {item: codes[number].tolist() for item, number in zip(log.items.ids, range(1, 9), strict=False)}


def test_the_last_row_that_is_valid_holds(log):
    features = log.features(CUT)
    red, blue = (codes_at(features, log, "item.colour", at)["a"] for at in (0, 50))
    assert red != blue
    assert min(red, blue) > 0
    assert codes_at(features, log, "item.colour", 49)["a"] == red
    assert codes_at(features, log, "item.colour", 9) == {"a": red, "b": 0, "c": 0, "d": 0}
    assert codes_at(features, log, "item.colour", 10)["b"] == red
    users, at_us = np.array([1, 1, 1, 0, 99], np.int32), np.array([59, 60, 1000, 60, 60])
    bern, rome, later, unknown, beyond = features.users_at(users, at_us)["user.city"].tolist()
    assert bern != rome == later
    assert unknown == beyond == 0


def test_they_are_fitted_before_the_cut_alone(log):
    features = log.features(CUT)
    assert codes_at(features, log, "item.colour", CUT)["d"] == 0, "green was never seen before the cut"
    assert codes_at(features, log, "item.categories", CUT)["d"] == [0] * BAG_WIDTH
    assert codes_at(log.features(CUT + 1), log, "item.colour", CUT)["d"] > 0
    assert features.sizes["item.colour"] == 3


def test_numbers_fall_into_bins_of_equal_mass(tmp_path):
    values = [float(value) for value in range(160)] + [None, float("nan")]
    names = [f"i{number:03d}" for number in range(162)]
    table = {"item_id": names, "valid_from": [0] * 162, "price": values}
    log = Log.from_tables(write_tables(tmp_path / "log", [("u", "i000", 5)], table))
    codes = log.features(CUT).items_at(1)["item.price"]
    counts = np.bincount(codes[log.items.encode(names[:160])], minlength=BINS + 1)
    assert counts[0] == 0
    assert counts[1:].tolist() == [10] * BINS
    assert codes[log.items.encode(names[160:])].tolist() == [0, 0], "what is not known has code 0"


def test_bags_are_cut_and_padded(tmp_path):
    table = {"item_id": ["a", "b"], "valid_from": [0, 0], "tags": [[f"t{n}" for n in range(12)], ["t0"]]}
    log = Log.from_tables(write_tables(tmp_path / "log", [("u", "a", 5)], table))
    codes = log.features(CUT).items_at(1)["item.tags"]
    assert codes.shape == (3, BAG_WIDTH)
    assert (codes[1] > 0).all()
    assert codes[2].tolist() == [codes[1][0]] + [0] * (BAG_WIDTH - 1)


def test_ids_and_consent_are_no_features(log):
    assert set(log.features(CUT).sizes) == {"item.colour", "item.price", "item.categories", "user.city"}


def test_arrays_keep_them(log):
    features = log.features(CUT)
    again = Features.from_arrays(features.arrays())
    assert again.sizes == features.sizes
    for name, codes in features.items_at(70).items():
        assert np.array_equal(again.items_at(70)[name], codes)
    users, at_us = np.array([1], np.int32), np.array([70])
    assert again.users_at(users, at_us)["user.city"].tolist() == features.users_at(users, at_us)["user.city"].tolist()


def test_codes_do_not_hang_on_the_order_of_the_rows(log, tmp_path):
    items = pl.DataFrame(ITEMS)
    turned = items.reverse().to_dict(as_series=False)
    other = Log.from_tables(write_tables(tmp_path / "turned", EVENTS, turned, USERS))
    for name in ("item.colour", "item.price", "item.categories"):
        assert codes_at(log.features(CUT), log, name, CUT) == codes_at(other.features(CUT), other, name, CUT) | {}


SETTINGS = FeaturesConfig(
    crosses=(("user.city", "user.tier"), ("item.colour", "item.price"), ("user.city", "item.colour")), count_days=(1, 7, 30)
)


def a_shop(folder, until=None):
    """400 events of 30 users over 40 days; the first `until` days of them."""
    draw = rng(0, "shop")
    days = sorted(draw.integers(0, 40, 400).tolist())
    rows = [(f"u{draw.integers(30)}", f"i{draw.integers(20)}", day * DAY_US + n) for n, day in enumerate(days)]
    rows = rows if until is None else [row for row in rows if row[2] < until]
    items = {"item_id": [f"i{n}" for n in range(20)] * 2, "valid_from": [0] * 20 + [20 * DAY_US] * 20,
             "colour": [["red", "blue", "green"][n % 3] for n in range(40)], "price": [float(n) for n in range(40)]}  # fmt: skip
    users = {"user_id": [f"u{n}" for n in range(30)], "valid_from": [0] * 30,
             "city": [["Bern", "Rome"][n % 2] for n in range(30)], "tier": ["a", "b", "c"] * 10}  # fmt: skip
    return Log.from_tables(write_tables(folder, rows, items, users))


def test_served_one_by_one_from_what_is_there_by_then_they_are_what_was_learned_from(tmp_path):
    """Thousands of requests at once over the whole log, and again each from arrays, bound to a log that ends before it."""
    log = a_shop(tmp_path / "whole")
    features = log.features(25 * DAY_US, SETTINGS)
    arrays = features.arrays()
    draw = rng(0, "requests")
    n = 3000
    users, at_us = draw.integers(0, 33, n).astype(np.int32), draw.choice(np.arange(2, 41, 3), n) * DAY_US + 17
    items = draw.integers(0, 23, (n, 4)).astype(np.int32)
    offline = features.users_at(users, at_us) | features.pairs_at(users, items, at_us)
    assert set(offline) == {
        "user.city", "user.tier", "user.city*tier", "pair.user.city*item.colour",
        *(f"user.count_{days}d" for days in (1, 7, 30)), *(f"pair.item.count_{days}d" for days in (1, 7, 30)),
    }  # fmt: skip
    assert all(codes.max() < features.sizes[name] and codes.max() > 1 for name, codes in offline.items())
    for moment in np.unique(at_us):
        online = a_shop(tmp_path / f"until-{moment}", until=moment).bind(Features.from_arrays(arrays))
        for row in np.flatnonzero(at_us == moment):
            one = slice(row, row + 1)
            served = online.users_at(users[one], at_us[one]) | online.pairs_at(users[one], items[one], at_us[one])
            assert all(np.array_equal(served[name][0], codes[row]) for name, codes in offline.items())


def test_crosses_of_items_stand_in_the_catalogue(tmp_path):
    features = a_shop(tmp_path / "log").features(25 * DAY_US, SETTINGS)
    now = features.items_at(30 * DAY_US)
    pairs = set(zip(now["item.colour"].tolist(), now["item.price"].tolist(), strict=True))
    assert len(np.unique(now["item.colour*price"])) == len(pairs)
    assert now["item.colour*price"].max() < features.sizes["item.colour*price"]


def test_counts_need_events(log):
    features = Features.from_arrays(log.features(CUT, FeaturesConfig(count_days=(7,))).arrays())
    with pytest.raises(DataError, match=r"log.bind\(features\)"):
        features.users_at(np.array([1], np.int32), np.array([5]))


def test_item_vectors_are_carried(log):
    features = log.features(CUT)
    vectors = rng(0, "vectors").random((len(log.items), 3))
    again = Features.from_arrays(features.with_item_vectors(vectors).arrays())
    assert again.item_vectors is not None
    assert np.array_equal(again.item_vectors, vectors.astype(np.float32))
    assert Features.from_arrays(features.arrays()).item_vectors is None
    for wrong in (vectors[1:], vectors[:, 0], np.full_like(vectors, np.nan)):
        with pytest.raises(DataError, match="one row an item number"):
            features.with_item_vectors(wrong)
