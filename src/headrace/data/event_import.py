"""Events from their source to sorted parts on disk: each part is read, cleaned, held against the rules and written alone.

A source of more than `rows_at_once` rows is first brought into parts by user (`spill`). What needs all of it is found apart:
how its columns are written (`traits`), and event ids that two users share (`_shared_ids`); an event without an id is named by a
hash that its user is part of, so its double can't lie in another part.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from headrace.contracts.kinds import Kind
from headrace.contracts.tables import EVENTS, TIME
from headrace.data.clean import conform
from headrace.data.erased import whose
from headrace.data.event_parts import part_name
from headrace.data.event_rules import distinct, within_rules
from headrace.data.quarantine import DUPLICATE_KEY, QUARANTINE, Check, sift
from headrace.data.shape import in_shape
from headrace.data.sources import ROW, Raw, Source
from headrace.data.spill import raw_parts
from headrace.data.tally import COLUMNS, NOTHING, Tally
from headrace.data.traits import Traits, traits_of_source


@dataclass(frozen=True)
class Rules:
    """What every event is held against. zone: of naive times. kind: of events without one, asked for where it is needed.

    items: their cleaned table. now: None on an ordinal clock, where the row number is the time. erased: users whose rows are left
    out, and not set aside either: their ids are not to be kept.
    """

    zone: str | None
    ordinal: bool
    kind: Callable[[], str]
    kinds: Mapping[str, Kind]
    items: pl.DataFrame
    now: datetime | None
    erased: Collection[str] = ()


@dataclass
class ImportedEvents:
    """read: rows of the source. erased: rows of users who are to be forgotten. parts: the files written. rejected: in the shape
    of QUARANTINE. forms: how times are written."""

    label: str
    read: int
    ignored: tuple[str, ...]
    parts: list[Path] = field(default_factory=list)
    rejected: list[pl.LazyFrame] = field(default_factory=lambda: [QUARANTINE.to_frame().lazy()])
    forms: dict[str, set[str]] = field(default_factory=dict)
    tally: Tally = NOTHING
    erased: int = 0

    def time_forms(self) -> dict[str, str]:
        return {name: " and ".join(sorted(forms, key=str.lower)) for name, forms in self.forms.items()}


def import_events(source: Source, rules: Rules, folder: Path, rows_at_once: int) -> ImportedEvents:
    """Writes into the empty folder; `parts` and `rejected` lie in it."""
    rows = source.count()
    traits = traits_of_source(source, EVENTS)
    done = ImportedEvents(source.label, rows, source.ignored)
    named = "event_id" in source.rows.collect_schema()
    (folder / "parts").mkdir()
    for number, raw in enumerate(raw_parts(source, "user_id", rows, rows_at_once, folder / "spill")):
        kept = _clean(raw, rules, traits, done, folder / f"rejected-{number:05d}.parquet")
        if len(kept):
            path = folder / "parts" / part_name(number)
            in_shape(_in_order(kept), EVENTS).write_parquet(path, compression="lz4")
            done.parts.append(path)
            if named and rows > rows_at_once:
                kept.select("event_id", ROW, "user_id", "item_id").write_parquet(folder / f"ids-{number:05d}.parquet")
    if named and rows > rows_at_once:
        _drop_shared_ids(done, folder, rows, rows_at_once)
    for path in done.parts:
        done.tally += Tally.of(pl.read_parquet(path, columns=list(COLUMNS)))
    return done


def _clean(raw: Raw, rules: Rules, traits: Traits, done: ImportedEvents, rejected_path: Path) -> pl.DataFrame:
    """The events that meet every rule, with ROW; the others go to the path."""
    if rules.ordinal and "at" in raw.rows.columns:
        raw = Raw(raw.label, raw.rows.drop("at"), raw.typed, raw.ignored)
    found = conform(raw, EVENTS, rules.zone, traits)
    if rules.erased:
        stays = ~whose(found.frame["user_id"], rules.erased)
        done.erased += int((~stays).sum())
        if not stays.all():
            return _clean(Raw(raw.label, raw.rows.filter(stays), raw.typed), rules, traits, done, rejected_path)
    for name, form in found.forms.items():
        done.forms.setdefault(name, set()).update(form.split(" and "))
    rows, unreadable = sift("events", found.frame, found.checks, raw.rows)
    if rules.ordinal:
        rows = rows.with_columns(at=pl.col(ROW).cast(pl.Int64).cast(TIME))
    if "kind" not in rows.columns:
        rows = rows.with_columns(kind=pl.lit(rules.kind()))
    rows, against_rules = within_rules(rows, rules.kinds, rules.items, now=rules.now)
    rows, again = distinct(rows)
    rejected = pl.concat([unreadable, against_rules, again])
    if len(rejected):
        rejected.write_parquet(rejected_path)
        done.rejected.append(pl.scan_parquet(rejected_path))
    return rows


def _in_order(events: pl.DataFrame) -> pl.DataFrame:
    """By user and time, ties as the file has them; the distinct users are sorted first, so that their rows compare as numbers."""
    users = pl.Enum(events["user_id"].unique().sort())
    return events.with_columns(__user=pl.col("user_id").cast(users)).sort("__user", "at", ROW).drop("__user")


def _drop_shared_ids(done: ImportedEvents, folder: Path, rows: int, rows_at_once: int) -> None:
    """Of events of several users under one id, all but the first of the file are set aside and their parts written again."""
    ids = pl.scan_parquet(folder / "ids-*.parquet")
    shares = -(-rows // rows_at_once)
    check = Check("event_id", DUPLICATE_KEY, ~pl.col("event_id").is_first_distinct())
    found = []
    for share in range(shares):
        mine = ids.filter(pl.col("event_id").hash(0) % shares == share).collect(engine="streaming").sort(ROW)
        found.append(sift("events", mine, [check], mine)[1])
    rejected = pl.concat(found)
    if not len(rejected):
        return
    done.rejected.append(rejected.lazy())
    lost = rejected.select(pl.col("value").alias("event_id"), "user_id")
    for part in done.parts:
        events = pl.read_parquet(part)
        left = events.join(lost, on=["event_id", "user_id"], how="anti", maintain_order="left")
        if len(left) < len(events):
            left.write_parquet(part, compression="lz4")
