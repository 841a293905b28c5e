"""Amazon Beauty (2014, 5-core) as item sequences without times: 198,502 events of 22,363 users on 12,101 items.

The clock is ordinal: `at` is the row number in microseconds. codes.parquet (item_id, codes) holds the semantic ids that the
copy's publisher made from item text. Know before measuring: item numbers follow first appearance, so a tie must not be broken
by them; and the original times are days, so order within a day is the file's, which a last-item Markov chain alone exploits.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.tables import EVENTS, ITEMS, TIME, USERS
from headrace.data.datasets import fetching
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files
from headrace.data.shape import in_shape, with_missing

FILES = ("Beauty.inter.json", "Beauty.index.json")


def make(folder: Path) -> None:
    how = "Get Beauty.inter.json and Beauty.index.json from data/Beauty of https://github.com/HonghuiBao2000/LETTER."
    write(folder, fetching.first_of("amazon-beauty-sequences", "amazon-beauty-sequences", (_own,), how))


def write(folder: Path, files: Files) -> None:
    sequences = json.loads(files["Beauty.inter.json"])
    codes = json.loads(files["Beauty.index.json"])
    lengths = np.fromiter(map(len, sequences.values()), np.int64)
    users = pl.Series(list(sequences), dtype=pl.String).gather(np.repeat(np.arange(len(lengths)), lengths))
    chosen = pl.Series([item for sequence in sequences.values() for item in sequence]).cast(pl.String)
    events = in_shape(
        pl.DataFrame({"user_id": users, "item_id": chosen}).with_columns(
            event_id=pl.format("amazon-beauty-{}", pl.int_range(1, pl.len() + 1)),
            at=pl.int_range(1, pl.len() + 1).cast(TIME),
            kind=pl.lit("review"),
        ),
        EVENTS,
    )
    events.write_parquet(folder / "events.parquet")
    for table, key in ((ITEMS, "item_id"), (USERS, "user_id")):
        rows = with_missing(pl.DataFrame(schema={key: pl.String}), table, events)
        in_shape(rows, table).write_parquet(folder / f"{table.name}.parquet")
    coded = pl.DataFrame({"item_id": list(codes), "codes": list(codes.values())}, schema_overrides={"codes": pl.List(pl.String)})
    coded.write_parquet(folder / "codes.parquet")


def _own() -> Files:
    return fetching.local("amazon-beauty-sequences", (FILES,))


ABOUT = DataSet(
    name="amazon-beauty-sequences",
    says="198,502 reviews of 12,101 beauty products by 22,363 people, as sequences without times, with semantic ids.",
    source="https://github.com/HonghuiBao2000/LETTER, data/Beauty (your own copy)",
    licence="Amazon review data (McAuley et al.), as processed in https://github.com/HonghuiBao2000/LETTER.\n"
    "The copy states no licence; the reviews are published for research use. For measuring only: do not redistribute.\n",
    clock="ordinal",
    rows={"events": 198_502, "items": 12_101, "users": 22_363, "codes": 12_101},
    make=make,
)
