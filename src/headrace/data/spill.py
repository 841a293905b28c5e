"""A source too large for memory, brought into parts that fit: all rows of one key in one part, in the file's order.

The file is streamed once; each batch goes to one small file a part. Cost: one read and one write of the file, and
(rows / rows_at_once) x (rows / batch) files, so raise rows_at_once with the machine: a billion rows want eight million at once.
It can't help where one user (or one request) alone has more rows than fit.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from headrace.data.sources import ROW, Raw, Source

_PART = "__part"
_BATCHES_A_PART = 2  # a batch is decoded and cut up at once: two copies of it are held


def raw_parts(source: Source, key: str, rows: int, rows_at_once: int, folder: Path) -> Iterator[Raw]:
    """The source whole where it fits, else part by part through `folder`, which is made for it. rows: how many there are."""
    if rows <= rows_at_once:
        yield source.collect()
        return
    folder.mkdir()
    empty = source.rows.collect_schema()
    for place in spilled(source, key, rows, rows_at_once, folder):
        yield Raw(source.label, gathered(place, empty), source.typed, source.ignored)
        for file in place.iterdir():
            file.unlink()


def spilled(source: Source, key: str, rows: int, rows_at_once: int, folder: Path) -> list[Path]:
    """One folder a part under `folder`. key: the column that decides. rows: how many there are."""
    parts = -(-rows // rows_at_once)
    places = [folder / f"{part:05d}" for part in range(parts)]
    for place in places:
        place.mkdir()
    # Where a row goes decides only which part it is in; no two rows of a key can differ in it within one import.
    cut = source.rows.with_columns((pl.col(key).hash(0) % parts).cast(pl.UInt32).fill_null(0).alias(_PART))
    for number, batch in enumerate(_batches(source, cut, max(rows_at_once // _BATCHES_A_PART, 1))):
        for (part,), found in batch.partition_by(_PART, as_dict=True, include_key=False).items():
            found.write_ipc(places[int(part)] / f"{number:06d}.arrow", compression="lz4")
    return places


def gathered(place: Path, empty: pl.Schema) -> pl.DataFrame:
    """A part's rows in the order of the file."""
    files = sorted(place.iterdir())
    if not files:  # a part no key falls in
        return pl.DataFrame(schema=empty)
    return pl.concat([pl.read_ipc(file) for file in files]).sort(ROW)


def _batches(source: Source, rows: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    with source.reading():
        batches = iter(rows.collect_batches(chunk_size=size, maintain_order=False, engine="streaming"))
    while True:
        with source.reading():
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
