"""A user leaves: their rows go from the log at once, and lineage says which artifacts were made from them.

    forgotten = forget(store, "u91", at=now)
    forgotten.artifacts      # personal ones, nearest first: rebuild them, or expire them within retain_days

1. The erasure is recorded in STORE/erasures.parquet, so an import of the same files leaves the user out from then on, and a
   broken erasure is taken up again by calling it again.
2. Every tables artifact that names the user is written anew beside itself, without their rows, and put in its place: a reader
   sees the old folder or the new one. It keeps its key and gets the digests of its new bytes.
3. In users.parquet a nameless row stays, without consent: the numbers of the users behind it, which other artifacts hold,
   must not move. Nothing else of the user does.

Cost: the parts that hold the user are read and written; in a log of several parts the others are linked, not copied. Requests
and candidates are one file each, led through a piece at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from headrace.artifacts.atomic import writing
from headrace.artifacts.store import Store
from headrace.contracts.manifest import Manifest
from headrace.contracts.tables import ERASURES, TIME, USERS
from headrace.data.erased import by_digest, digest_of, record_of
from headrace.data.event_parts import part_paths

ERASED = "erasures.parquet"
_NAMELESS = "erased user {}"
_OF_A_USER = ("requests", "turns", "quarantine")


@dataclass(frozen=True)
class Forgotten:
    """rows: table -> rows removed, over all tables artifacts. artifacts: personal descendants of those, nearest first."""

    user_id: str
    rows: dict[str, int] = field(default_factory=dict)
    artifacts: list[Manifest] = field(default_factory=list)


def forget(store: Store, user_id: str, *, at: datetime, tables_kind: str = "tables") -> Forgotten:
    """at: when, with a zone. A user nobody knows is recorded too: files that name them may come later."""
    record_erasure(store.root / ERASED, user_id, at)
    without(store.root / "quarantine.parquet", pl.col("user_id") == user_id)  # what a refused import showed
    rows: dict[str, int] = {}
    stale: dict[str, Manifest] = {}
    for manifest in [one for one in store.manifests() if one.kind == tables_kind]:
        path = store.root / manifest.kind / manifest.key
        if _names(path, user_id):
            with store.rewritten(manifest) as draft:
                for table, count in forget_in_tables(draft.path, user_id).items():
                    rows[table] = rows.get(table, 0) + count
        # Also where an earlier call got as far as the tables: what was made from them before is still there.
        stale |= {one.key: one for one in store.descendants(manifest.key) if one.personal}
    return Forgotten(user_id, rows, list(stale.values()))


def record_erasure(path: Path, user_id: str, at: datetime) -> None:
    """Once a user; the first time holds."""
    _record(path, [record_of(user_id)], at)


def record_digests(path: Path, digests: Iterable[bytes], at: datetime) -> None:
    """Of users who were erased elsewhere and whose ids did not come along (`data.erased`); once each."""
    known = set(map(digest_of, erased_users(path)))
    _record(path, [by_digest(one) for one in digests if one not in known], at)


def _record(path: Path, records: Sequence[str], at: datetime) -> None:
    known = pl.read_parquet(path) if path.is_file() else ERASURES.schema().to_frame()
    before = set(known["user_id"])
    new = [one for one in records if one not in before]
    if new:
        rows = pl.DataFrame({"user_id": new}, schema={"user_id": pl.String}).with_columns(
            pl.lit(at).dt.convert_time_zone("UTC").cast(TIME).alias("at")
        )
        _replace(pl.concat([known, rows]), path)


def erased_users(path: Path) -> list[str]:
    """Whom an import must leave out, by id or digest (`data.erased`); none where nothing was recorded."""
    return pl.read_parquet(path)["user_id"].to_list() if path.is_file() else []


def forget_in_tables(tables: Path, user_id: str) -> dict[str, int]:
    """Rows removed by table. Each file is replaced whole, never changed in place."""
    mine = pl.col("user_id") == user_id
    requests = tables / "requests.parquet"
    asked = pl.read_parquet(requests).filter(mine)["request_id"] if requests.is_file() else pl.Series([], dtype=pl.String)
    removed = {"events": sum(without(path, mine) for path in part_paths(tables))}
    for name in _OF_A_USER:
        removed[name] = without(tables / f"{name}.parquet", mine)
    removed["candidates"] = without(tables / "candidates.parquet", pl.col("request_id").is_in(asked.implode()))
    of_user = (pl.col("unit_kind") == "user") & (pl.col("unit_id") == user_id)
    of_request = (pl.col("unit_kind") == "request") & pl.col("unit_id").is_in(asked.implode())
    removed["exposures"] = without(tables / "exposures.parquet", of_user | of_request)
    of_request = (pl.col("target_type") == "request") & pl.col("target_id").is_in(asked.implode())
    of_user = (pl.col("target_type") == "user") & (pl.col("target_id") == user_id)
    removed["feedback"] = without(tables / "feedback.parquet", of_user | of_request)
    removed["users"] = _nameless(tables / "users.parquet", user_id)
    return {name: count for name, count in removed.items() if count}


def _names(tables: Path, user_id: str) -> bool:
    places: Iterable[Path] = [tables / f"{name}.parquet" for name in ("users", *_OF_A_USER)]
    return any(_count(path, pl.col("user_id") == user_id) for path in (*part_paths(tables), *places))


def _count(path: Path, bad: pl.Expr) -> int:
    return int(pl.scan_parquet(path, glob=False).filter(bad).select(pl.len()).collect().item()) if path.is_file() else 0


def without(path: Path, bad: pl.Expr) -> int:
    """The Parquet file, where it is there, anew without these rows; how many they were. None: the file is left as it is."""
    count = _count(path, bad)
    if count:
        _replace(pl.scan_parquet(path, glob=False).filter(~bad.fill_null(False)), path)
    return count


def _nameless(path: Path, user_id: str) -> int:
    """The user's rows become one that says nothing."""
    table = pl.read_parquet(path)
    mine = table["user_id"] == user_id
    if not mine.any():
        return 0
    first = mine.arg_max()
    taken = table["user_id"].str.starts_with(_NAMELESS.format("")).sum()
    row = {
        "user_id": _NAMELESS.format(int(taken) + 1),
        "valid_from": table["valid_from"].min(),
        **dict.fromkeys((column.name for column in USERS.columns if column.name.startswith("consent_")), False),
    }
    hole = pl.DataFrame([row]).select(pl.col(name).cast(table.schema[name]) for name in row)
    assert first is not None
    rest = table.slice(first).filter(table.slice(first)["user_id"] != user_id)
    _replace(pl.concat([table.head(first), hole, rest], how="diagonal"), path)
    return int(mine.sum())


def _replace(table: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """A table that may be large is read and written a piece at a time."""
    beside = path.with_name(f".{path.name}.new")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        table.lazy().sink_parquet(beside)
        beside.replace(path)
