"""Who was erased, as whoever reads a log knows them: by id, or by a digest of it where the id never came here.

    record   "u91"   or   "blake2b:" + hex of 16 bytes, of an erasure that another server told of
    whose    [n] rows -> [n] Bool: of one of the recorded

Cost: ids are looked up; for digests each user is hashed once, a microsecond or so.
"""

from collections.abc import Collection

import polars as pl

from headrace.contracts.digests import DIGEST, digest

_BY_DIGEST = "blake2b:"


def record_of(user_id: str) -> str:
    return user_id if _told(user_id) is None else by_digest(digest(user_id))


def by_digest(found: bytes) -> str:
    """The record of somebody whose id is not known here."""
    return _BY_DIGEST + found.hex()


def digest_of(record: str) -> bytes:
    """Of whom the record is."""
    found = _told(record)
    return digest(record) if found is None else found


def whose(users: pl.Series, records: Collection[str]) -> pl.Series:
    """Which rows are of one of the recorded users."""
    gone = {record for record in records if _told(record) is None}
    if told := {found for record in records if (found := _told(record)) is not None}:
        gone.update(name for name in users.unique().drop_nulls().to_list() if digest(name) in told)
    return users.is_in(list(gone)).fill_null(False)


def _told(record: str) -> bytes | None:
    if not record.startswith(_BY_DIGEST) or len(record) != len(_BY_DIGEST) + 2 * DIGEST:
        return None
    try:
        return bytes.fromhex(record.removeprefix(_BY_DIGEST))
    except ValueError:  # somebody's id that begins so
        return None
