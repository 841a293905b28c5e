"""Every item's categories by number, and the names behind the numbers: what rules and caps of a page speak of."""

import numpy as np
import polars as pl

from headrace.contracts.requests import Int32
from headrace.data.log import Log
from headrace.data.vocabulary import Vocabulary


def category_bags(log: Log) -> tuple[Vocabulary, Int32]:
    """The names, commonest first, and the bags [n_items, W], padded with 0; an item's last row in the table holds."""
    table = pl.read_parquet(log.tables / "items.parquet", columns=["item_id", "categories", "valid_from"])
    last = table.sort("valid_from").group_by("item_id", maintain_order=True).last()
    numbered = last.select("categories", number=log.items.encode(last["item_id"]))
    long = numbered.explode("categories", empty_as_null=True, keep_nulls=True).drop_nulls().unique(maintain_order=True)
    counts = long.group_by("categories").len().sort(["len", "categories"], descending=[True, False])
    names = Vocabulary(counts["categories"])
    place = long.select(pl.int_range(pl.len()).over("number")).to_series().to_numpy()
    bags = np.zeros((len(log.items), int(place.max()) + 1 if len(place) else 1), np.int32)
    bags[long["number"].to_numpy(), place] = names.encode(long["categories"])
    return names, bags
