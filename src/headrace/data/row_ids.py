"""The id of a row that has none: a hash of its contents, so the same event read twice is found to be the same.

128 bits, the same on every machine and in every version, whatever the order of the columns. Polars' own hash promises
neither. Each distinct string is digested once; the rest is array arithmetic: O(rows x columns + distinct strings).
"""

from hashlib import blake2b

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
    digits = np.frombuffer(np.ascontiguousarray(state.T).astype(">u8").tobytes().hex().encode(), "S32")
    return pl.Series("row_id", digits.astype(np.str_), dtype=pl.String)


def _words(column: pl.Series) -> NDArray[np.uint64]:
    """Two words a value, [2, rows]."""
    if column.dtype == pl.String:
        distinct = column.unique().drop_nulls()
        digests = b"".join(blake2b(text.encode(), digest_size=16).digest() for text in distinct)
        table = np.frombuffer(digests, "<u8").reshape(-1, 2).astype(np.uint64)
        places = pl.DataFrame({"text": distinct, "place": np.arange(len(distinct), dtype=np.int64)})
        place = column.alias("text").to_frame().join(places, on="text", how="left", maintain_order="left")["place"]
        known = place.fill_null(-1).to_numpy()
        words: NDArray[np.uint64] = np.vstack([table, np.full((1, 2), _NULL, np.uint64)])[known].T
        return words
    numbers = column.to_physical()
    if numbers.dtype.is_float():
        bits = (numbers.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0).view(np.uint64)  # + 0.0: -0.0 is 0.0
    else:
        bits = numbers.cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64)
    return np.stack([bits, bits])
