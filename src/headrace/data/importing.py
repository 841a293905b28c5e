"""A user's logs into the contract tables: read, cleaned, completed, written. Nothing is dropped in silence.

The steps between reading and writing take and return frames and know nothing of files, so a log larger than memory can be led
through them a partition at a time (rows that could be duplicates meet when the partition follows the user).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from headrace.contracts.errors import ConfigError
from headrace.contracts.kinds import Kind
from headrace.contracts.tables import EVENTS, ITEMS, TIME, USERS, Table
from headrace.data import datasets
from headrace.data.clean import conform
from headrace.data.event_rules import distinct, within_rules
from headrace.data.quarantine import DUPLICATE_KEY, QUARANTINE, Check, Sifted, refuse, sift
from headrace.data.settings import Columns, DataConfig, check_sources, kind_of_all
from headrace.data.shape import in_shape, with_first_seen, with_missing
from headrace.data.sources import ROW, read
from headrace.data.summary import Summary, kind_counts, tied_share

__all__ = ["Columns", "DataConfig", "Summary", "import_log"]

_LOG = logging.getLogger(__name__)


@dataclass
class _Part:
    """One table on its way: rows kept so far, rows set aside so far."""

    table: Table
    label: str = ""
    read: int = 0
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    rejected: list[pl.DataFrame] = field(default_factory=lambda: [QUARANTINE.to_frame()])
    forms: dict[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def take(self, kept_and_rejected: tuple[pl.DataFrame, pl.DataFrame]) -> None:
        self.rows, rejected = kept_and_rejected
        self.rejected.append(rejected)


def import_log(
    settings: DataConfig,
    kinds: Mapping[str, Kind],
    *,
    base: Path,
    out: Path,
    quarantine_path: Path | None = None,
    now: datetime | None = None,
    home: Path | None = None,
) -> Summary:
    """Write items, users, events (by user, then time) and quarantine as Parquet into the existing folder `out`.

    kinds: as declared; when none is, every kind found is taken. quarantine_path: where the bad rows go when they make the import
    fail (beside `out` if None). now: events more than a day after it are set aside. home: the data sets' cache.
    """
    check_sources(settings)
    settings, base = _of_dataset(settings, home) if settings.dataset else (settings, base)
    events, items, users = (_read(table, settings, base) for table in (EVENTS, ITEMS, USERS))
    _place_in_time(settings, events, (items, users))
    if "kind" not in events.rows.columns:
        events.rows = events.rows.with_columns(kind=pl.lit(kind_of_all(settings, kinds)))
    moment = None if settings.clock == "ordinal" else now or datetime.now(UTC)
    events.take(within_rules(events.rows, kinds, items.rows, now=moment))
    events.take(distinct(events.rows))
    for part in (items, users):
        part.take(_distinct_history(part, events.rows))

    parts = (events, items, users)
    sifted = [Sifted(part.table.name, part.label, part.read, pl.concat(part.rejected)) for part in parts]
    refuse(sifted, settings.max_quarantined, quarantine_path or out.parent / "quarantine.parquet")

    log = in_shape(events.rows, EVENTS).sort("user_id", "at", "event_id")
    tables = {"events": log}
    for part in (items, users):
        tables[part.table.name] = in_shape(with_missing(part.rows.drop(ROW), part.table, log), part.table)
    for name, table in tables.items():
        table.write_parquet(out / f"{name}.parquet")
    pl.concat([one.quarantined for one in sifted]).write_parquet(out / "quarantine.parquet")

    first, last = log.select(first=pl.col("at").min(), last=pl.col("at").max()).select(pl.all().dt.timestamp("us")).row(0)
    summary = Summary(
        clock=settings.clock,
        read={part.table.name: part.read for part in parts},
        kept={part.table.name: len(part.rows) for part in parts},
        added={part.table.name: len(tables[part.table.name]) - len(part.rows) for part in (items, users)},
        quarantined={one.name: one.reasons() for one in sifted},
        first_at_us=first,
        last_at_us=last,
        kinds=kind_counts(log),
        tied_share=tied_share(log),
        time_forms={f"{part.table.name}.{name}": form for part in parts for name, form in part.forms.items()},
        ignored=events.ignored,
    )
    _LOG.info("imported %s", summary)
    return summary


def _of_dataset(settings: DataConfig, home: Path | None) -> tuple[DataConfig, Path]:
    """The data set's own tables and clock in place of paths."""
    assert settings.dataset is not None
    about = datasets.describe(settings.dataset)
    if about.clock is None:
        raise ConfigError(f'[data] dataset = "{about.name}" has no events of users with items, so no log can be made of it.')
    folder = datasets.get(about.name, home)
    tables = replace(settings, events="events.parquet", items="items.parquet", users="users.parquet")
    return replace(tables, clock=about.clock, columns=Columns()), folder


def _read(table: Table, settings: DataConfig, base: Path) -> _Part:
    path = getattr(settings, table.name)
    if path is None:
        return _Part(table, rows=pl.DataFrame(schema={ROW: pl.UInt32, table.key[0]: pl.String}))
    optional = {"kind", "at"} if settings.clock == "ordinal" else {"kind"}
    raw = read(table, path, base, getattr(settings.columns, table.name), optional=optional)
    if settings.clock == "ordinal":
        raw = replace(raw, rows=raw.rows.drop("at", strict=False))
    found = conform(raw, table, settings.timezone)
    part = _Part(table, raw.label, len(raw.rows), forms=found.forms, ignored=raw.ignored)
    part.take(sift(table.name, found.frame, found.checks, raw.rows))
    return part


def _place_in_time(settings: DataConfig, events: _Part, histories: tuple[_Part, ...]) -> None:
    """On an ordinal clock the row number is the time, which no date of an item can be held against."""
    if settings.clock == "time":
        return
    events.rows = events.rows.with_columns(at=pl.col(ROW).cast(pl.Int64).cast(TIME))
    for part in histories:
        if "valid_from" in part.rows.columns and settings.dataset is None:
            raise ConfigError(
                f'{part.label} has a column "valid_from", but the clock is "ordinal": row numbers are no dates. '
                'Leave the column out, or set [data] clock = "time".'
            )


def _distinct_history(part: _Part, events: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first row of each (id, valid_from)."""
    filled = with_first_seen(part.rows, part.table, events)
    again = ~pl.struct(part.table.key).is_first_distinct()
    return sift(part.table.name, filled, [Check(part.table.key[0], DUPLICATE_KEY, again)], filled)
