"""The id of a row that has none: a hash of its contents, so the same event read twice is found to be the same.

128 bits, the same on every machine and in every version, whatever the order of the columns. Polars' own hash promises
neither. Each distinct string is digested once; the rest is array arithmetic: O(rows x columns + distinct strings).
"""

from hashlib import blake2b
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.rng import mix, seed_of

_NULL = seed_of(0, "null")


def row_ids(frame: pl.DataFrame) -> pl.Series:
    """One id a row: 32 hexadecimal digits. A null column counts for nothing, so a later optional column keeps old ids."""
    state = np.zeros((2, len(frame)), np.uint64)
    for name in sorted(frame.columns):
        column = frame[name]
        for stream, words in enumerate(_words(column)):
            keyed = mix(mix(words, seed_of(stream, "row id", name)), state[stream])
            state[stream] = np.where(column.is_null().to_numpy(), state[stream], keyed)
    return _hexadecimal(np.ascontiguousarray(state.T).astype(">u8"))


def _hexadecimal(words: NDArray[Any]) -> pl.Series:
    """32 digits a row. The reader of CSV turns bytes to text several times faster than numpy does."""
    if not len(words):
        return pl.Series("row_id", [], pl.String)
    lines = np.full((len(words), 33), ord("\n"), np.uint8)
    lines[:, :32] = np.frombuffer(words.tobytes().hex().encode(), np.uint8).reshape(-1, 32)
    return pl.read_csv(lines.tobytes(), has_header=False, schema={"row_id": pl.String})["row_id"]


def _words(column: pl.Series) -> NDArray[np.uint64]:
    """Two words a value, [2, rows]."""
    if column.dtype == pl.String:
        distinct = column.unique().drop_nulls()
        digests = b"".join(blake2b(text.encode(), digest_size=16).digest() for text in distinct)
        table = np.frombuffer(digests, "<u8").reshape(-1, 2).astype(np.uint64)
        place = column.cast(pl.Enum(distinct)).to_physical()
        known = place.fill_null(len(distinct)).to_numpy()
        words: NDArray[np.uint64] = np.vstack([table, np.full((1, 2), _NULL, np.uint64)])[known].T
        return words
    numbers = column.to_physical()
    if numbers.dtype.is_float():
        bits = (numbers.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0).view(np.uint64)  # + 0.0: -0.0 is 0.0
    else:
        bits = numbers.cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64)
    return np.stack([bits, bits])
