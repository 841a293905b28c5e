"""A user's logs into the contract tables: read, cleaned, completed, written. Nothing is dropped in silence.

Items and users are held whole; events, requests and candidates are led through a part at a time where they are many
(`event_import`, `impression_import`).
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from headrace.artifacts.atomic import writing
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.kinds import Kind
from headrace.contracts.tables import CANDIDATES, EVENTS, ITEMS, REQUESTS, USERS, Table
from headrace.data import datasets
from headrace.data.clean import conform
from headrace.data.clocks import write_clock
from headrace.data.erased import whose
from headrace.data.event_import import ImportedEvents, Rules, import_events
from headrace.data.event_parts import FILE, FOLDER
from headrace.data.impression_import import ImportedTable, ImpressionRules, import_impressions
from headrace.data.quarantine import DUPLICATE_KEY, QUARANTINE, Check, Sifted, refuse, sift, write_quarantine
from headrace.data.settings import TABLES, Columns, DataConfig, check_sources, kind_of_all
from headrace.data.shape import in_shape, with_first_seen, with_missing
from headrace.data.sources import ROW, Source, open_source, read
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
    """Write items, users, events (by user, then time), quarantine and, where the log has them, requests and candidates as Parquet
    into the existing folder `out`.

    A file of events with more than `rows_at_once` rows is worked through in parts, and its events are written as parts
    (`event_parts`): memory follows rows_at_once (about 0.5 GB a million), the users and the catalogue, not the log.

    kinds: as declared; when none is, every kind found is taken. quarantine_path: where the bad rows go when they make the import
    fail (beside `out` if None). now: events more than a day after it are set aside. home: the data sets' cache.
    erased: users (`data.erased`) whose rows are left out and counted, nothing else of them is kept.
    """
    check_sources(settings)
    settings, base = _of_dataset(settings, home) if settings.dataset else (settings, base)
    ordinal = settings.clock == "ordinal"
    items, users = (_read(table, settings, base) for table in (ITEMS, USERS))
    stays = ~whose(users.rows["user_id"], erased)
    users.erased, users.rows = int((~stays).sum()), users.rows.filter(stays)
    users.rejected = [rows.filter(~whose(rows["user_id"], erased)) for rows in users.rejected]
    if ordinal:
        _refuse_dates(settings, (items, users))
    rules = Rules(
        settings.timezone, ordinal, lambda: kind_of_all(settings, kinds), kinds, items.rows,
        None if ordinal else now or datetime.now(UTC), erased,
    )  # fmt: skip
    optional = {"kind", "at"} if ordinal else {"kind"}
    source = open_source(EVENTS, str(settings.events), base, settings.columns.events, optional=optional)
    requests, candidates = (_opened(table, settings, base) for table in (REQUESTS, CANDIDATES))
    with writing(out), TemporaryDirectory(prefix=".import-", dir=out) as folder:
        scratch = Path(folder)
        events = import_events(source, rules, scratch, rows_at_once)
        shown: list[ImportedTable] = []
        if requests is not None:
            asked = ImpressionRules(settings.timezone, now or datetime.now(UTC), erased, settings.deterministic_policies)
            shown = import_impressions(requests, candidates, asked, scratch / "impressions", rows_at_once)
        placed = _placed(settings, events, (items, users), shown, out, quarantine_path or out.parent / "quarantine.parquet")
        for one in shown:
            (scratch / "impressions" / one.path_name).rename(out / one.path_name)
        return placed


def _placed(
    settings: DataConfig, events: ImportedEvents, parts: tuple["_Part", ...], shown: list[ImportedTable], out: Path,
    quarantine: Path,
) -> Summary:  # fmt: skip
    """Refused, or moved into `out` with all that goes with them."""
    tally = events.tally
    seen = {key: _first_seen(key, [tally.seen[key], *(frame for one in shown for frame in one.seen)]) for key in tally.seen}
    if tally.events:
        for part in parts:
            part.take(_distinct_history(part, seen[part.table.key[0]]))
    sifted = [Sifted("events", events.label, events.read, pl.concat(events.rejected))]
    sifted += [Sifted(part.table.name, part.label, part.read, pl.concat(part.rejected).lazy()) for part in parts]
    sifted += [Sifted(one.table.name, one.label, one.read, pl.concat(one.rejected)) for one in shown]
    refuse(sifted, settings.max_quarantined, quarantine)
    if not tally.events:
        raise DataError(f"{events.label}: no event is left, all {events.erased:,} are of users who were to be forgotten.")

    added = {}
    for part in parts:
        whole = in_shape(with_missing(part.rows.drop(ROW), part.table, seen[part.table.key[0]]), part.table)
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
        read={"events": events.read, **{one.name: one.read for one in sifted[1:]}},
        kept={"events": tally.events}
        | {part.table.name: len(part.rows) for part in parts}
        | {one.table.name: one.kept for one in shown},
        added=added,
        quarantined={one.name: one.reasons for one in sifted},
        first_at_us=tally.first_us,
        last_at_us=tally.last_us,
        kinds=tally.kind_counts(),
        tied_share=tally.tied_share,
        time_forms={f"events.{name}": form for name, form in events.time_forms().items()}
        | {f"{part.table.name}.{name}": form for part in parts for name, form in part.forms.items()}
        | {name: form for one in shown for name, form in one.time_forms().items()},
        ignored=events.ignored,
        erased=events.erased + sum(part.erased for part in parts) + sum(one.erased for one in shown),
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
    there: dict[str, Any] = {name: f"{name}.parquet" for name in TABLES if (folder / f"{name}.parquet").is_file()}
    return replace(settings, **there, clock=about.clock, columns=Columns()), folder


def _opened(table: Table, settings: DataConfig, base: Path) -> Source | None:
    path = getattr(settings, table.name)
    return None if path is None else open_source(table, path, base, getattr(settings.columns, table.name))


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


def _first_seen(key: str, frames: list[pl.DataFrame]) -> pl.DataFrame:
    """What is shown is seen, and may be so before anybody acts on it."""
    mine = [frame.select(key, "at") for frame in frames if key in frame.columns]
    return mine[0] if len(mine) == 1 else pl.concat(mine).group_by(key).agg(pl.col("at").min())


def _distinct_history(part: _Part, seen: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first row of each (id, valid_from)."""
    filled = with_first_seen(part.rows, part.table, seen)
    again = ~pl.struct(part.table.key).is_first_distinct()
    return sift(part.table.name, filled, [Check(part.table.key[0], DUPLICATE_KEY, again)], filled)
