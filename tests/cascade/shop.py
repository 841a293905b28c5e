"""A small shop with a pattern: each user walks round a ring of items, with a random look now and then."""

from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.rng import rng

RING = 24
FAST = """
[retrieve]
k = 12
[retrieve.sasrec]
dim = 16
layers = 1
heads = 1
length = 10
train = { epochs = 3, learning_rate = 0.01 }
[prerank]
use = "two_tower"
keep = 10
[prerank.two_tower]
train = { epochs = 2 }
[rank.dcnv2]
hidden = [8]
history = 5
train = { epochs = 2 }
[page.explore]
slots = 4
[evaluate]
metrics = ["recall@5", "ndcg@5"]
resamples = 200
"""


def write_shop(folder: Path, users: int = 40, steps: int = 14) -> Path:
    """events.csv, items.csv and shop.toml in the folder; returns the TOML."""
    draw = rng(0, "shop")
    user = np.repeat(np.arange(users), steps)
    step = np.tile(np.arange(steps), users)
    start = np.repeat(draw.integers(0, RING, users), steps)
    item = np.where(draw.random(len(user)) < 0.1, draw.integers(0, RING, len(user)), (start + step) % RING)
    at = 1_700_000_000 + step * 86_400 + draw.integers(0, 40_000, len(user))
    pl.DataFrame({
        "customer": [f"c{n}" for n in user], "product": [f"p{n}" for n in item], "when": at, "kind": "view",
    }).sort("when").write_csv(folder / "events.csv")  # fmt: skip
    pl.DataFrame({
        "item_id": [f"p{n}" for n in range(RING)], "title": [f"Product {n}" for n in range(RING)],
        "categories": [f"half {n // 12}|third {n % 3}" for n in range(RING)],
    }).write_csv(folder / "items.csv")  # fmt: skip
    toml = folder / "shop.toml"
    columns = '[data.columns.events]\nuser_id = "customer"\nitem_id = "product"\nat = "when"\n'
    toml.write_text(f'[data]\nevents = "events.csv"\nitems = "items.csv"\n{columns}{FAST}')
    return toml


RICH = """
[features]
count_days = [2, 7]
crosses = [["user.city", "item.colour"]]
item_vectors = "tfidf"
"""


def write_rich_shop(folder: Path) -> Path:
    """The same, its items with a colour and a text, its users with a city, all of which the models and the page read."""
    toml = write_shop(folder)
    header, *rows = (folder / "items.csv").read_text().splitlines()
    more = [f"{row},{['red', 'blue'][n % 2]},made of {['wool', 'steel', 'glass'][n % 3]}" for n, row in enumerate(rows)]
    (folder / "items.csv").write_text("\n".join([f"{header},colour,text", *more]))
    (folder / "users.csv").write_text("\n".join(["user_id,city", *(f"c{n},{['Bern', 'Rome'][n % 2]}" for n in range(40))]))
    plan = toml.read_text().replace("[data]", '[data]\nusers = "users.csv"', 1)
    toml.write_text(plan.replace("[page.explore]", "[page.explore]\nmmr = 0.3") + RICH)
    return toml
