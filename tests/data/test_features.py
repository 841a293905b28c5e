import numpy as np
import polars as pl
import pytest

from headrace.data.features import BAG_WIDTH, BINS, Features
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
