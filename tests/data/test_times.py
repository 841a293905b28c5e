from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError, DataError
from headrace.data.times import read_times

MOMENT = datetime(2024, 3, 1, 10, 30, tzinfo=UTC)


def times(values, zone="UTC", dtype=None):
    return read_times(pl.Series(values, dtype=dtype), zone, 'events.csv: column "at"')


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T10:30:00Z", "2024-03-01 10:30:00+00:00", "2024-03-01T12:30+02:00", "2024-03-01T05:00:00.000-0530",
        "2024-03-01 10:30:00 UTC", " 2024-03-01T12:30:00.000000000+02 ", "2024-03-01 10:30", "2024-03-01T10:30:00,000",
    ],
)  # fmt: skip
def test_iso_strings(text):
    assert times([text]).at.to_list() == [MOMENT]


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float64, pl.String])
def test_the_unit_of_epoch_numbers_is_found(unit, per_s, dtype):
    numbers = pl.Series([int(MOMENT.timestamp() * per_s)] * 3 + [None]).cast(dtype)
    found = read_times(numbers, None, "")
    assert found.at.to_list() == [MOMENT] * 3 + [None]
    assert found.form == f"epoch {unit}"


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_any_time_with_any_offset(naive, ahead_minutes):
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=ahead_minutes)))
    assert times([moment.isoformat()]).at.to_list() == [moment.astimezone(UTC)]


def test_fractions_of_epoch_seconds():
    assert times(["1709289000.25", "1709289000"]).at.to_list() == [MOMENT + timedelta(seconds=0.25), MOMENT]


def test_naive_times_are_placed_in_their_zone():
    written = ["2024-03-01 11:30", "2024-07-01 12:00"]
    wanted = [MOMENT, datetime(2024, 7, 1, 10, tzinfo=UTC)]
    assert times(written, "Europe/Paris").at.to_list() == wanted
    typed = pl.Series([datetime(2024, 3, 1, 11, 30), datetime(2024, 7, 1, 12)])
    assert read_times(typed, "Europe/Paris", "").at.to_list() == wanted
    assert times([date(2024, 7, 1)], "Europe/Paris").at.to_list() == [datetime(2024, 6, 30, 22, tzinfo=UTC)]


def test_the_hours_of_a_clock_change():
    repeated, skipped = times(["2024-10-27 02:30", "2024-03-31 02:30"], "Europe/Paris").at.to_list()
    assert repeated == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert skipped is None


@pytest.mark.parametrize(
    "series",
    [pl.Series(["2024-03-01T00:00:00Z", "2024-03-01 11:30"]), pl.Series([date(2024, 3, 1)]), pl.Series([datetime(2024, 3, 1)])],
)
def test_a_naive_time_asks_for_its_zone(series):
    with pytest.raises(ConfigError, match=r'without a zone \(first: "2024-03-01.*timezone = "Europe/Paris"'):
        read_times(series, None, 'events.csv: column "at"')


def test_a_zone_nobody_knows():
    with pytest.raises(ConfigError, match='Did you mean "Europe/Paris"'):
        times(["2024-03-01"], "Europe/Pari")


def test_what_is_no_time():
    assert times(["01/02/2024", "soon", "2024-13-01", "2024-01-01T25:00", "", None]).at.null_count() == 6
    assert times([9.3e18, 1.7e9, 1.7e9, float("nan"), float("inf")]).at.is_null().to_list() == [True, False, False, True, True]
    assert times([2**62, 1_700_000_000, 1_700_000_000]).at.is_null().to_list() == [True, False, False]
    with pytest.raises(DataError, match="expected times"):
        times([[1]])


def test_typed_times_keep_their_moment():
    there = pl.Series([MOMENT]).dt.convert_time_zone("Asia/Tokyo").cast(pl.Datetime("ms", "Asia/Tokyo"))
    assert read_times(there, None, "").at.to_list() == [MOMENT]
