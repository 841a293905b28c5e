"""A user leaves what a server wrote: the online state at once, then every log file that names them.

A server may be running on the folder. The state changes in one transaction, and from it on the server knows the user as nobody,
takes nothing of theirs in and logs nothing of them; a file it is writing is waited for and then looked through too.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from headrace.data.forget import without
from headrace.serve.logs.files import alone, name_left
from headrace.serve.logs.impressions import TABLES
from headrace.serve.state.database import Database, Occupied, digest
from headrace.serve.state.lately import emptied


def forget_served(root: Path, user_id: str, *, map_gb: float) -> dict[str, int]:
    """Rows removed, by table; "state" is the online histories. root: RUN/served. map_gb: as the server has it."""
    return forget_logged(root, [user_id], _from_state(root / "state", user_id, map_gb))


def named(root: Path, digests: Collection[bytes]) -> list[str]:
    """Whom of them the log files name. Cost: the columns of users are read, and each user is hashed once."""
    seen, found = set[str](), list[str]()
    with alone(root):
        for table, column in (("events", "user_id"), ("requests", "user_id"), ("exposures", "unit_id")):
            for path in _files(root, table):
                names = set(pl.read_parquet(path, columns=[column])[column].unique().drop_nulls()) - seen
                seen |= names
                found += [name for name in names if digest(name) in digests]
    return found


def forget_logged(root: Path, users: Sequence[str], from_state: int = 0) -> dict[str, int]:
    """The same, where the state has forgotten them already. from_state: the rows that it removed.

    Cost: the logs' user_id and request_id columns are read, and the files that hold the user are written anew.
    """
    rows = {"state": from_state}
    mine = pl.col("user_id").is_in(users)
    with alone(root):
        for table in TABLES:  # what a process that was killed left half written; of events that is the state's to know
            name_left(root / table, None)
        asked = [pl.read_parquet(path, columns=["request_id", "user_id"]).filter(mine) for path in _files(root, "requests")]
        ids = pl.concat([pl.DataFrame(schema={"request_id": pl.String}), *(one.select("request_id") for one in asked)])
        theirs = pl.col("request_id").is_in(ids["request_id"].implode())
        # Requests last: broken off before, another call still finds which candidates were the user's.
        by_user = (pl.col("unit_kind") == "user") & pl.col("unit_id").is_in(users)
        unit = by_user | ((pl.col("unit_kind") == "request") & pl.col("unit_id").is_in(ids["request_id"].implode()))
        for table, bad in (("events", mine), ("candidates", theirs), ("exposures", unit), ("requests", mine)):
            rows[table] = sum(without(path, bad) for path in _files(root, table))
    return {table: count for table, count in rows.items() if count}


def _from_state(folder: Path, user_id: str, map_gb: float) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        state = Database(folder, map_gb, sole=True)
    except Occupied:
        state = Database(folder, map_gb, sole=False)  # the server tidies its file when it starts the next time
        removed = state.forget(user_id)
        state.close()
        return removed
    removed = state.forget(user_id)
    emptied(folder.parent / "lately")  # a server that was killed left what it remembered
    state.close()
    Database(folder, map_gb, sole=True).close()  # opened anew, it holds no trace in unused pages
    return removed


def _files(root: Path, table: str) -> list[Path]:
    return sorted((root / table).glob("*/*.parquet"))
