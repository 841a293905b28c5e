"""Requests and candidates from their sources to one file each: cleaned and held against their rules a part at a time.

A part is all rows of some requests (`spill`), so a key that stands twice is found inside it. What candidates must know of their
request (who asked, when, whether it was kept) lies on disk beside the parts and is looked up for one part at a time: memory
follows rows_at_once and the distinct users and items, not the log.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from headrace.contracts.tables import CANDIDATES, REQUESTS, Table
from headrace.data.clean import Read, conform
from headrace.data.erased import whose
from headrace.data.event_rules import time_rules
from headrace.data.quarantine import DUPLICATE_KEY, QUARANTINE, Check, sift
from headrace.data.shape import in_shape
from headrace.data.sources import ROW, Raw, Source
from headrace.data.spill import raw_parts
from headrace.data.traits import Traits, traits_of_source

_KEPT, _ERASED, _ASIDE = 0, 1, 2


@dataclass(frozen=True)
class ImpressionRules:
    """zone: of naive times. now: requests more than a day after it are set aside. erased: users whose rows are left out.
    deterministic: policies whose answers need no position and no propensity."""

    zone: str | None
    now: datetime
    erased: Collection[str] = ()
    deterministic: Collection[str] = ()


@dataclass
class ImportedTable:
    """read: rows of the source. erased: rows of users who are to be forgotten. rejected: in the shape of QUARANTINE. forms: how
    times are written. seen: of each part the ids, user_id or item_id, and the first time `at` each is seen."""

    table: Table
    label: str
    read: int
    kept: int = 0
    erased: int = 0
    rejected: list[pl.LazyFrame] = field(default_factory=lambda: [QUARANTINE.to_frame().lazy()])
    forms: dict[str, set[str]] = field(default_factory=dict)
    seen: list[pl.DataFrame] = field(default_factory=list)

    @property
    def path_name(self) -> str:
        return f"{self.table.name}.parquet"

    def time_forms(self) -> dict[str, str]:
        return {f"{self.table.name}.{name}": " and ".join(sorted(forms, key=str.lower)) for name, forms in self.forms.items()}


def import_impressions(
    requests: Source, candidates: Source | None, rules: ImpressionRules, scratch: Path, rows_at_once: int
) -> list[ImportedTable]:
    """Writes scratch/requests.parquet and, where there are any, scratch/candidates.parquet."""
    scratch.mkdir()
    done = [_import_requests(requests, rules, scratch, rows_at_once)]
    if candidates is not None:
        done.append(_import_candidates(candidates, rules, scratch, rows_at_once))
    return done


def _import_requests(source: Source, rules: ImpressionRules, scratch: Path, rows_at_once: int) -> ImportedTable:
    done = ImportedTable(REQUESTS, source.label, source.count())
    (scratch / "asked").mkdir()
    traits = traits_of_source(source, REQUESTS)
    with _Parts(done, scratch) as parts:
        for raw in raw_parts(source, "request_id", done.read, rows_at_once, scratch / "spilled requests"):
            found = _read(raw, REQUESTS, rules, traits)
            gone = whose(found.frame["user_id"], rules.erased)
            fates = [_asked(found.frame.filter(gone), rules, _ERASED)]
            if gone.any():
                raw = Raw(raw.label, raw.rows.filter(~gone), raw.typed)
                found = _read(raw, REQUESTS, rules, traits)
            whole = found.frame
            rows, unreadable = sift("requests", whole, [*found.checks, *time_rules(rules.now)], raw.rows)
            rows, again = _first_of_key(rows, REQUESTS)
            fates += [_asked(rows, rules, _KEPT), _asked(whole.join(rows, on=ROW, how="anti"), rules, _ASIDE)]
            pl.concat(fates).drop_nulls("request_id").write_parquet(scratch / "asked" / f"{parts.number:05d}.parquet")
            done.seen.append(rows.group_by("user_id").agg(pl.col("at").min()))
            parts.add(rows, [unreadable, again], found, int(gone.sum()))
    return done


def _import_candidates(source: Source, rules: ImpressionRules, scratch: Path, rows_at_once: int) -> ImportedTable:
    done = ImportedTable(CANDIDATES, source.label, source.count())
    traits = traits_of_source(source, CANDIDATES)
    with _Parts(done, scratch) as parts:
        for raw in raw_parts(source, "request_id", done.read, rows_at_once, scratch / "spilled candidates"):
            found = _read(raw, CANDIDATES, rules, traits)
            rows = _with_request(found.frame, scratch / "asked")
            gone = (rows["fate"] == _ERASED).fill_null(False)
            if gone.any():
                raw = Raw(raw.label, raw.rows.filter(~gone), raw.typed)
                found = _read(raw, CANDIDATES, rules, traits)
                rows = rows.filter(~gone)
            rows, broken = sift("candidates", rows, [*found.checks, *_candidate_rules()], raw.rows)
            rows, again = _first_of_key(rows, CANDIDATES)
            done.seen.append(rows.group_by("item_id").agg(at=pl.col("asked_at").min()))
            parts.add(rows, [broken, again], found, int(gone.sum()))
    return done


def _candidate_rules() -> list[Check]:
    shown = pl.col("stage") == "shown"
    return [
        Check("request_id", "a request that requests does not have", pl.col("fate").is_null()),
        Check("request_id", "a request that was set aside", pl.col("fate") == _ASIDE),
        *(
            Check(name, f"a {name} outside (0, 1]", ~(pl.col(name).is_between(0, 1, closed="right")))
            for name in ("propensity", "logged_p")
        ),
        Check("position", "a position below 1", pl.col("position") < 1),
        *(
            Check(name, f"no {name}, though shown by a policy that is not marked deterministic",
                  shown & pl.col("drawn") & pl.col(name).is_null())
            for name in ("position", "propensity")
        ),
    ]  # fmt: skip


def _read(raw: Raw, table: Table, rules: ImpressionRules, traits: Traits) -> Read:
    """With every column of the contract, null where the file has none."""
    found = conform(raw, table, rules.zone, traits)
    absent = [pl.lit(None, column.dtype).alias(column.name) for column in table.columns if column.name not in found.frame.columns]
    return Read(found.frame.with_columns(absent), found.checks, found.forms)


def _asked(rows: pl.DataFrame, rules: ImpressionRules, fate: int) -> pl.DataFrame:
    drawn = ~pl.col("policy_id").is_in(list(rules.deterministic)).fill_null(False)
    return rows.select("request_id", "user_id", asked_at="at", drawn=drawn, fate=pl.lit(fate, pl.Int8))


def _with_request(rows: pl.DataFrame, asked: Path) -> pl.DataFrame:
    """Rows with what is known of their request; of several rows under its id, the kept one speaks."""
    ids = rows.select("request_id").unique().lazy()
    mine = pl.scan_parquet(sorted(asked.iterdir()), glob=False).join(ids, on="request_id", how="semi").collect(engine="streaming")
    known = mine.sort("fate").unique("request_id", keep="first", maintain_order=True)
    return rows.join(known, on="request_id", how="left", maintain_order="left")


def _first_of_key(rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, pl.DataFrame]:
    return sift(table.name, rows, [Check(table.key[0], DUPLICATE_KEY, ~pl.struct(table.key).is_first_distinct())], rows)


class _Parts:
    """What the parts of one table leave: files of kept and of rejected rows, joined to one at the end."""

    def __init__(self, done: ImportedTable, scratch: Path):
        self.done, self.scratch, self.name, self.number = done, scratch, done.table.name, 0

    def __enter__(self) -> "_Parts":
        return self

    def add(self, rows: pl.DataFrame, rejected: list[pl.DataFrame], found: Read, erased: int) -> None:
        done = self.done
        done.kept += len(rows)
        done.erased += erased
        for name, form in found.forms.items():
            done.forms.setdefault(name, set()).update(form.split(" and "))
        shaped = in_shape(rows.drop(ROW), done.table)
        shaped.write_parquet(self._path("kept"), compression="lz4")
        bad = pl.concat(rejected)
        if len(bad):
            bad.write_parquet(self._path("rejected"))
            done.rejected.append(pl.scan_parquet(self._path("rejected"), glob=False))
        self.number += 1

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            files = sorted(self.scratch.glob(f"{self.name}-kept-*.parquet"))
            pl.scan_parquet(files, glob=False).sink_parquet(self.scratch / self.done.path_name)

    def _path(self, what: str) -> Path:
        return self.scratch / f"{self.name}-{what}-{self.number:05d}.parquet"
