"""A user's logs into the contract tables: read, cleaned, completed, written. Nothing is dropped in silence.

Items and users are held whole; events are led through a part at a time where they are many (`event_import`).
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from headrace.artifacts.atomic import writing
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.kinds import Kind
from headrace.contracts.tables import EVENTS, ITEMS, USERS, Table
from headrace.data import datasets
from headrace.data.clean import conform
from headrace.data.clocks import write_clock
from headrace.data.event_import import ImportedEvents, Rules, import_events
from headrace.data.event_parts import FILE, FOLDER
from headrace.data.quarantine import DUPLICATE_KEY, QUARANTINE, Check, Sifted, refuse, sift, write_quarantine
from headrace.data.settings import Columns, DataConfig, check_sources, kind_of_all
from headrace.data.shape import in_shape, with_first_seen, with_missing
from headrace.data.sources import ROW, open_source, read
from headrace.data.summary import Summary

__all__ = ["Columns", "DataConfig", "Summary", "import_log"]

ROWS_AT_ONCE = 500_000
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
    erased: int = 0

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
    rows_at_once: int = ROWS_AT_ONCE,
    erased: Collection[str] = (),
) -> Summary:
    """Write items, users, events (by user, then time) and quarantine as Parquet into the existing folder `out`.

    A file of events with more than `rows_at_once` rows is worked through in parts, and its events are written as parts
    (`event_parts`): memory follows rows_at_once (about 0.5 GB a million), the users and the catalogue, not the log.

    kinds: as declared; when none is, every kind found is taken. quarantine_path: where the bad rows go when they make the import
    fail (beside `out` if None). now: events more than a day after it are set aside. home: the data sets' cache.
    erased: users whose rows are left out and counted, nothing else of them is kept (`data.forget`).
    """
    check_sources(settings)
    settings, base = _of_dataset(settings, home) if settings.dataset else (settings, base)
    ordinal = settings.clock == "ordinal"
    items, users = (_read(table, settings, base) for table in (ITEMS, USERS))
    stays = ~users.rows["user_id"].is_in(list(erased)).fill_null(False)
    users.erased, users.rows = int((~stays).sum()), users.rows.filter(stays)
    users.rejected = [rows.filter(~pl.col("user_id").is_in(list(erased)).fill_null(False)) for rows in users.rejected]
    if ordinal:
        _refuse_dates(settings, (items, users))
    rules = Rules(
        settings.timezone, ordinal, lambda: kind_of_all(settings, kinds), kinds, items.rows,
        None if ordinal else now or datetime.now(UTC), erased,
    )  # fmt: skip
    optional = {"kind", "at"} if ordinal else {"kind"}
    source = open_source(EVENTS, str(settings.events), base, settings.columns.events, optional=optional)
    with writing(out), TemporaryDirectory(prefix=".import-", dir=out) as scratch:
        events = import_events(source, rules, Path(scratch), rows_at_once)
        return _placed(settings, events, (items, users), out, quarantine_path or out.parent / "quarantine.parquet")


def _placed(settings: DataConfig, events: ImportedEvents, parts: tuple["_Part", ...], out: Path, quarantine: Path) -> Summary:
    """Refused, or moved into `out` with all that goes with them."""
    tally = events.tally
    if tally.events:
        for part in parts:
            part.take(_distinct_history(part, tally.seen[part.table.key[0]]))
    sifted = [Sifted("events", events.label, events.read, pl.concat(events.rejected))]
    sifted += [Sifted(part.table.name, part.label, part.read, pl.concat(part.rejected).lazy()) for part in parts]
    refuse(sifted, settings.max_quarantined, quarantine)
    if not tally.events:
        raise DataError(f"{events.label}: no event is left, all {events.erased:,} are of users who were to be forgotten.")

    added = {}
    for part in parts:
        whole = in_shape(with_missing(part.rows.drop(ROW), part.table, tally.seen[part.table.key[0]]), part.table)
        added[part.table.name] = len(whole) - len(part.rows)
        whole.write_parquet(out / f"{part.table.name}.parquet")
    write_quarantine(sifted, out / "quarantine.parquet")
    write_clock(out, settings.clock)
    if len(events.parts) == 1:
        events.parts[0].rename(out / FILE)
    else:
        events.parts[0].parent.rename(out / FOLDER)

    summary = Summary(
        clock=settings.clock,
        read={"events": events.read, **{part.table.name: part.read for part in parts}},
        kept={"events": tally.events, **{part.table.name: len(part.rows) for part in parts}},
        added=added,
        quarantined={one.name: one.reasons for one in sifted},
        first_at_us=tally.first_us,
        last_at_us=tally.last_us,
        kinds=tally.kind_counts(),
        tied_share=tally.tied_share,
        time_forms={f"events.{name}": form for name, form in events.time_forms().items()}
        | {f"{part.table.name}.{name}": form for part in parts for name, form in part.forms.items()},
        ignored=events.ignored,
        erased=events.erased + sum(part.erased for part in parts),
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
    raw = read(table, path, base, getattr(settings.columns, table.name))
    found = conform(raw, table, settings.timezone)
    part = _Part(table, raw.label, len(raw.rows), forms=found.forms)
    part.take(sift(table.name, found.frame, found.checks, raw.rows))
    return part


def _refuse_dates(settings: DataConfig, histories: tuple[_Part, ...]) -> None:
    """On an ordinal clock the row number is the time, which no date of an item can be held against."""
    for part in histories:
        if "valid_from" in part.rows.columns and settings.dataset is None:
            raise ConfigError(
                f'{part.label} has a column "valid_from", but the clock is "ordinal": row numbers are no dates. '
                'Leave the column out, or set [data] clock = "time".'
            )


def _distinct_history(part: _Part, seen: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first row of each (id, valid_from)."""
    filled = with_first_seen(part.rows, part.table, seen)
    again = ~pl.struct(part.table.key).is_first_distinct()
    return sift(part.table.name, filled, [Check(part.table.key[0], DUPLICATE_KEY, again)], filled)
