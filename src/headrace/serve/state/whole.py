"""Which builds are open, in which process, and which of them the upper layer makes whole: as it stands in the database.

    open      process, number -> key of a build's tables         one row for each build that a process has open
    tables    of `facts`: keys of builds that are whole: what was ever served is in their log, or above it

What is taken in is above as long as the log of an open build lacks it. So a whole build stays whole while it is open somewhere,
and no longer, but for those that were open last: where none is open nothing is taken in.
"""

import struct
from typing import Any

ROW = struct.Struct(">QQ")
_FORM = "2"  # before the tables' keys: rows as another version wrote them are made anew
_TABLES = b"tables"
Tables = dict[str, Any]


def keys_open(reading: Any, tables: Tables) -> list[str]:
    """Of each build that a process has open, whether another has it too or not."""
    return [key.decode() for _, key in reading.cursor(tables["open"])]


def keys_whole(reading: Any, tables: Tables) -> set[str] | None:
    """None: the rows are as another version wrote them."""
    form, *keys = (reading.get(_TABLES, db=tables["facts"]) or b"none").decode().split()
    return set(keys) if form == _FORM else None


def put_whole(writing: Any, tables: Tables, keys: set[str]) -> None:
    writing.put(_TABLES, " ".join([_FORM, *sorted(keys)]).encode(), db=tables["facts"])


def keep_whole(writing: Any, tables: Tables) -> set[str]:
    """Those that are still whole, after something was opened or closed."""
    whole, found = keys_whole(writing, tables) or set(), keys_open(writing, tables)
    if found:
        whole.intersection_update(found)
        put_whole(writing, tables, whole)
    return whole


def forget_process(writing: Any, tables: Tables, process: int) -> None:
    """What it had open."""
    for row in [row for row, _ in writing.cursor(tables["open"]) if ROW.unpack(row)[0] == process]:
        writing.delete(row, db=tables["open"])
    keep_whole(writing, tables)
