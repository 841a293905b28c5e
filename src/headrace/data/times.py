"""Times as files have them, read to UTC microseconds.

Accepted: ISO 8601 strings with or without a zone ("2024-05-01", "2024-05-01 10:00", "2024-05-01T10:00:00.5+02:00"), epoch
numbers in s, ms, us or ns, and typed Date or Datetime columns. Day-first and month-first dates are not: they can't be told apart.
"""

from dataclasses import dataclass
from itertools import pairwise
from zoneinfo import available_timezones

import polars as pl

from headrace.contracts.errors import ConfigError, DataError, nearest
from headrace.contracts.tables import TIME

_NUMBER = r"^\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*$"
_ISO = (
    r"^\s*(?<day>\d{4}-\d{2}-\d{2})(?:[T ](?<minute>\d{2}:\d{2})(?::(?<second>\d{2})(?:[.,](?<fraction>\d{1,9}))?)?)?"
    r"\s*(?<zone>Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?\s*$"
)
_UNITS_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_LARGEST = (("s", 1e11), ("ms", 1e14), ("us", 1e17))  # numbers from there on are of a finer unit
_LAST_US = 253_402_300_799_000_000  # the end of the year 9999


@dataclass(frozen=True)
class Times:
    """at: TIME, null where a value could not be read. form: how the file writes times, for the summary."""

    at: pl.Series
    form: str


def read_times(column: pl.Series, zone: str | None, where: str, unit: str | None = None) -> Times:
    """zone: what naive times are in. `where` opens the messages. unit: of epoch numbers, told by the column where it is None.

    A naive time that the clock change repeats is the earlier one; one that it skips is unreadable.
    """
    if zone is not None and zone not in available_timezones():
        raise ConfigError(f'data.timezone is "{zone}", which is no IANA time zone.{nearest(zone, available_timezones())}')
    dtype = column.dtype
    if dtype == pl.Null:
        return Times(column.cast(TIME), "none")
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return Times(column.dt.convert_time_zone("UTC").cast(TIME), f"timestamps in {dtype.time_zone}")
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return Times(_placed(column.cast(pl.Datetime("us")), zone, where), f"timestamps without a zone, read in {zone}")
    if dtype.is_numeric():
        unit = unit or _unit_of(column)
        return Times(_from_epoch(column, unit), f"epoch {unit}")
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        texts = column.cast(pl.String)
        return _from_strings(texts, zone, where, unit or _unit_of(texts))
    raise DataError(f"{where} is {dtype}, expected times: ISO 8601 strings, epoch numbers or timestamps.")


def sizes_of_epochs(name: str, dtype: pl.DataType) -> pl.Expr:
    """How many of a column's numbers would be seconds, milli-, micro- and nanoseconds: what `epoch_unit` reads, over any rows."""
    column = pl.col(name)
    if dtype.is_numeric():
        size = column.cast(pl.Float64).abs()
    elif dtype == pl.String:
        size = column.str.strip_chars().cast(pl.Float64, strict=False).abs()
    else:
        size = pl.lit(None, pl.Float64)
    known = size.is_finite()
    edges = [0.0, *(edge for _, edge in _LARGEST), float("inf")]
    inside = [(known & (size >= low) & (size < high)).sum() for low, high in pairwise(edges)]
    return pl.struct(count.alias(str(place)) for place, count in enumerate(inside))


def epoch_unit(counts: list[int]) -> str:
    """The unit that puts the file's median between 1973 and 5138: a whole file has one unit."""
    seen, middle = 0, (sum(counts) - 1) // 2
    for count, unit in zip(counts, _UNITS_US, strict=True):
        seen += count
        if seen > max(middle, 0):
            return unit
    return "s"


def _unit_of(column: pl.Series) -> str:
    named = column.alias("column").to_frame()
    return epoch_unit(list(named.select(sizes_of_epochs("column", column.dtype)).item().values()))


def _placed(naive: pl.Series, zone: str | None, where: str) -> pl.Series:
    if zone is None and naive.null_count() < len(naive):
        raise ConfigError(
            f'{where} has times without a zone (first: "{naive.drop_nulls()[0]}"). '
            'Say which they are in: [data] timezone = "Europe/Paris", or "UTC".'
        )
    placed = naive.dt.replace_time_zone(zone or "UTC", ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC").cast(TIME)


def _from_epoch(numbers: pl.Series, unit: str) -> pl.Series:
    scale = _UNITS_US[unit]
    if numbers.dtype.is_integer():  # in whole numbers throughout: a float64 can't hold nanoseconds
        whole = numbers.cast(pl.Int64, strict=False)
        last = min(int(_LAST_US / scale), 2**63 - 1)
        inside = whole.is_between(-last, last)
        whole = whole.set(~inside.fill_null(False), None)
        micros = whole // 1000 if unit == "ns" else whole * int(scale)
    else:
        scaled = (numbers.cast(pl.Float64) * scale).round()
        micros = scaled.set(~(scaled.is_finite() & (scaled.abs() <= _LAST_US)).fill_null(False), None).cast(pl.Int64)
    return micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _from_strings(texts: pl.Series, zone: str | None, where: str, unit: str) -> Times:
    numeric = texts.str.contains(_NUMBER).fill_null(False)
    if numeric.any():
        trimmed = texts.set(~numeric, None).str.strip_chars()
        whole = trimmed.cast(pl.Int64, strict=False)
        exact = whole.null_count() == trimmed.null_count()
        from_numbers = _from_epoch(whole if exact else trimmed.cast(pl.Float64, strict=False), unit)
        if numeric.sum() == len(texts) - texts.null_count():
            return Times(from_numbers, f"epoch {unit}")
        rest = _from_iso(texts.set(numeric, None), zone, where)
        return Times(from_numbers.zip_with(numeric, rest), f"epoch {unit} and ISO 8601")
    return Times(_from_iso(texts, zone, where), "ISO 8601")


def _from_iso(texts: pl.Series, zone: str | None, where: str) -> pl.Series:
    parts = texts.str.extract_groups(_ISO).struct.unnest()
    written = pl.concat_str(
        "day", pl.lit(" "), pl.col("minute").fill_null("00:00"), pl.lit(":"), pl.col("second").fill_null("00"),
        pl.lit("."), pl.col("fraction").fill_null("0").str.pad_end(9, "0").str.slice(0, 6),
    )  # fmt: skip
    digits = pl.col("zone").str.replace(":", "")
    sign = pl.when(digits.str.starts_with("-")).then(-1).otherwise(1)
    hours = digits.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = digits.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    read = parts.select(
        naive=written.str.to_datetime("%Y-%m-%d %H:%M:%S%.6f", time_unit="us", strict=False),
        ahead=pl.duration(minutes=sign * (hours * 60 + minutes), time_unit="us"),
        zoned=pl.col("zone").is_not_null(),
    )
    zoned = (read["naive"] - read["ahead"]).dt.replace_time_zone("UTC")
    naive = read["naive"].set(read["zoned"], None)
    return zoned.zip_with(read["zoned"], _placed(naive, zone, where))
