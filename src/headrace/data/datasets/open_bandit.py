"""Open Bandit (ZOZO), the small sample: 60,000 impressions of a fashion shop, logged by two policies with known propensities.

requests: one a row of the log; policy_id "random" or "bts" (Bernoulli Thompson sampling), surface the campaign (all, men,
women). candidates: the one item shown, its position (1 to 3) and propensity. events: the clicks. The publisher names no users,
so each impression has its own, and its user features stand on the request. Items of different campaigns share no ids.
Paper: Saito et al., NeurIPS 2021 Datasets and Benchmarks.
"""

from io import BytesIO
from itertools import product
from pathlib import Path

import polars as pl

from headrace.contracts.tables import CANDIDATES, EVENTS, ITEMS, REQUESTS, TIME, USERS
from headrace.data.datasets import fetching
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files
from headrace.data.shape import in_shape, with_first_seen, with_missing

WHEEL = "obp==0.4.1"
WHEEL_SHA256 = "87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208"
POLICIES = ("random", "bts")
CAMPAIGNS = ("all", "men", "women")
FILES = tuple(
    f"{policy}/{campaign}/{name}.csv" for policy, campaign in product(POLICIES, CAMPAIGNS) for name in (campaign, "item_context")
)


def make(folder: Path) -> None:
    how = f"Unpack obp/dataset/obd of the {WHEEL} wheel (it is a zip)."
    write(folder, fetching.first_of("open-bandit", "open-bandit", (_own, _wheel), how))


def write(folder: Path, files: Files) -> None:
    shown = pl.concat(_impressions(files, policy, campaign) for policy, campaign in product(POLICIES, CAMPAIGNS))
    events = shown.filter(pl.col("click") == 1).with_columns(
        event_id=pl.format("{}-click", "request_id"), kind=pl.lit("click"), position=pl.col("position")
    )
    log = in_shape(events, EVENTS)
    items = pl.concat(_items(files, campaign) for campaign in CAMPAIGNS)
    requests = shown.drop("item_id", "position", "click", "propensity").with_columns(seed=pl.lit(0))
    candidates = shown.with_columns(stage=pl.lit("shown"), logged_p=pl.lit(1.0))
    users = with_missing(pl.DataFrame(schema={"user_id": pl.String}), USERS, shown)
    tables = {
        "requests": in_shape(requests, REQUESTS),
        "candidates": in_shape(candidates, CANDIDATES),
        "events": log,
        "items": in_shape(with_first_seen(items, ITEMS, shown), ITEMS),
        "users": in_shape(users, USERS),
    }
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")


def _impressions(files: Files, policy: str, campaign: str) -> pl.DataFrame:
    rows = pl.read_csv(BytesIO(files[f"{policy}/{campaign}/{campaign}.csv"]), infer_schema_length=None)
    request = pl.format(f"{policy}-{campaign}-{{}}", pl.int_range(1, pl.len() + 1))
    affinities = [name for name in rows.columns if name.startswith("user-item_affinity_")]
    return rows.select(
        request_id=request,
        user_id=request,
        item_id=pl.format(f"{campaign}-{{}}", "item_id"),
        at=pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", time_unit="us").cast(TIME),
        surface=pl.lit(campaign),
        policy_id=pl.lit(policy),
        position=pl.col("position").cast(pl.Int32),
        click=pl.col("click"),
        propensity=pl.col("propensity_score").cast(pl.Float64),
        **{f"user_feature_{place}": pl.col(f"user_feature_{place}").cast(pl.String) for place in range(4)},
        affinity=pl.concat_list(pl.col(name).cast(pl.Float32) for name in affinities),
    )


def _items(files: Files, campaign: str) -> pl.DataFrame:
    """Both policies ship the same items."""
    rows = pl.read_csv(BytesIO(files[f"{POLICIES[0]}/{campaign}/item_context.csv"]))
    return rows.select(
        item_id=pl.format(f"{campaign}-{{}}", "item_id"),
        campaign=pl.lit(campaign),
        item_feature_0=pl.col("item_feature_0").cast(pl.Float64),
        **{f"item_feature_{place}": pl.col(f"item_feature_{place}").cast(pl.String) for place in (1, 2, 3)},
    )


def _own() -> Files:
    return fetching.local("open-bandit", (FILES,))


def _wheel() -> Files:
    return fetching.unzipped(fetching.wheel(WHEEL, WHEEL_SHA256), {f"obp/dataset/obd/{name}": name for name in FILES}, WHEEL)


ABOUT = DataSet(
    name="open-bandit",
    says="60,000 impressions of 160 fashion items with propensities, logged by a random and a Thompson-sampling policy.",
    source=f"the sample in PyPI's {WHEEL}",
    licence="Open Bandit Dataset, small sample. ZOZO, Inc. https://research.zozo.com/data.html\n"
    "Shipped in the Open Bandit Pipeline (obp 0.4.1), which is under the Apache License 2.0.\n"
    "The data are free to use for research; see their page for the terms.\n"
    "Saito, Aihara, Matsutani, Narita. Open Bandit Dataset and Pipeline. NeurIPS 2021 Datasets and Benchmarks.\n",
    clock="time",
    rows={"requests": 60_000, "candidates": 60_000, "users": 60_000},
    make=make,
)
