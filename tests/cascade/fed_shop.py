"""The small shop, and the artifact of an upstream that knows some of its users and items beside strangers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from headrace.cascade.foundation import write_foundation
from headrace.data.foundation import Foundation, States
from tests.cascade.shop import RING, write_shop
from tests.methods.upstream import ITEMS, USERS, some_foundation

DAY_US, START_US = 86_400_000_000, 1_700_000_000_000_000
USER_IDS = [f"c{n}" for n in range(0, 40, 2)] + ["stranger"]
ITEM_IDS = ["elsewhere", *(f"p{n}" for n in range(RING - 4))]
RANK = """
[foundation]
artifact = "upstream"
[rank]
use = "lfm4ads"
[rank.lfm4ads]
reads = ["UR", "CR", "IR", "item CR"]
isomorphic = true
hidden = [8]
history = 5
train = { epochs = 1 }
[retrieve.standalone]
train = { epochs = 2 }
"""


def states(n, width, seed, per=3):
    """So many states of each of n entities, days apart."""
    draw = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.arange(n + 1) * per]).astype(np.int64)
    days = np.tile(np.array([-1, 4, 9][:per]), n)
    return States(offsets, START_US + days * DAY_US, draw.normal(size=(n * per, width)).astype(np.float32))


def upstream(**other) -> Foundation:
    users, items = states(len(USER_IDS), sum(USERS.values()), 0), states(len(ITEM_IDS), sum(ITEMS.values()), 1)
    base = replace(some_foundation(), fields={"item.title": ("category", 9)}, trained_until_us=START_US + 2 * DAY_US)
    made: Foundation = replace(base, users=users, items=items, **other)
    return made


def write_upstream(folder: Path, **other) -> Path:
    write_foundation(folder, upstream(**other), pl.Series(USER_IDS), pl.Series(ITEM_IDS))
    return folder


def write_fed_shop(folder: Path) -> Path:
    """The TOML of a shop whose retriever and ranker read the upstream."""
    toml = write_shop(folder)
    write_upstream(folder / "upstream")
    text = toml.read_text().replace("[retrieve]\n", '[retrieve]\nuse = ["popularity", "itemknn", "standalone"]\n', 1)
    toml.write_text(text + RANK)
    return toml
