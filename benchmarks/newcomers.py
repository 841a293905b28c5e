"""What items are worth that come while a generation serves: put, recommended at once, and chosen or not by who came later.

    python -m benchmarks.newcomers FOLDER movielens-latest-small     # films with a plot
    python -m benchmarks.newcomers FOLDER movielens-100k             # films with title and genres alone

A tenth of the items, by a hash of their ids, is taken out of the first 80% of the events and out of the items table; a generation
is built of what is left, in FOLDER/NAME/run where it is not there yet, and the others are put. Of everybody with events in the
last 20% six moments are asked: the history is what came before, and right is what is among the 20 events after. The same requests
with newcomers off and with 1 to 3 slots; "random" is the chance that a newcomer drawn evenly in the same slot is right.
Differences are per request, with 1.96 standard errors; the requests of a person are not independent. The thread's CPU time of an
answer is measured with 0, 100 and 10,000 made-up newcomers.
"""

import copy
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.record import record
from headrace.cascade.answers import walk
from headrace.cascade.run import build, open_run
from headrace.contracts.requests import Float64, History, Int64, Requests
from headrace.contracts.rng import mix, rng, seed_of, stable_hash, uniform
from headrace.contracts.serving import ServeConfig
from headrace.data import datasets
from headrace.serve.catalogue.messages import Item
from headrace.serve.catalogue.put import put
from headrace.serve.scorers.kept_states import WHO
from headrace.serve.service import Service

SHARE, LATE, MOMENTS, AFTER, LEAST = 0.1, 0.2, 6, 20, 5
PLAN = Path("src/headrace/cli/demo.toml")
SLOTS = 10


@dataclass(frozen=True)
class Asked:
    """items, at_us: what came before. wanted: what came after."""

    user_id: str
    items: Int64
    at_us: Int64
    now_us: int
    wanted: Int64


def hold_out(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tables = datasets.get(name)
    events, items = pl.read_parquet(tables / "events.parquet").sort("at"), pl.read_parquet(tables / "items.parquet")
    held = pl.Series(uniform(mix(stable_hash(items["item_id"].to_list()), seed_of(0, "newcomers"))) < SHARE)
    since = events["at"][int((1 - LATE) * len(events))]
    late = events.filter(pl.col("at") >= since)["user_id"].unique()
    ids = items.filter(held)["item_id"].to_list()
    events.filter((pl.col("at") < since) & ~pl.col("item_id").is_in(ids)).write_parquet(folder / "events.parquet")
    events.filter(pl.col("user_id").is_in(late.to_list())).write_parquet(folder / "asked.parquet")
    items.filter(~held).write_parquet(folder / "items.parquet")
    items.filter(held).write_parquet(folder / "held.parquet")
    plan = PLAN.read_text().replace('dataset = "movielens-100k"', 'events = "events.parquet"\nitems = "items.parquet"')
    plan = plan.replace("min_value = 1\n", "min_value = 0.5\n")
    (folder / "plan.toml").write_text(f'{plan}\n[features]\nitem_vectors = "tfidf"\n')


def asked_of(folder: Path, service: Service) -> list[Asked]:
    events, numbers = pl.read_parquet(folder / "asked.parquet").sort("at"), service.shelf.numbers
    since = pl.read_parquet(folder / "events.parquet", columns=["at"])["at"].dt.timestamp("us").max()
    found: list[Asked] = []
    for (user, *_), part in events.group_by("user_id", maintain_order=True):
        items = np.array([numbers[one] for one in part["item_id"].to_list()])
        at_us = part["at"].dt.timestamp("us").to_numpy()
        places = np.flatnonzero(at_us > since)
        places = places[(places >= LEAST) & (places < len(items) - AFTER // 2)]
        some = places[np.unique(np.linspace(0, len(places) - 1, MOMENTS).astype(int))] if len(places) else places
        found += [Asked(str(user), items[:one], at_us[:one], int(at_us[one]), items[one : one + AFTER]) for one in some]
    return found


def request(service: Service, asked: Asked) -> Requests:
    known = np.flatnonzero(asked.items < service.shelf.n_items)[-1000:]
    history = History(np.array([0, len(known)]), asked.items[known].astype(np.int32), asked.at_us[known])
    users, at_us = np.zeros(1, np.int32), np.array([asked.now_us])
    features = {**service.pipeline.feature_object.users_at(users, at_us), WHO: np.zeros(1, np.int64)}
    return Requests(np.array([f"{asked.user_id} {asked.now_us}"]), users, at_us, history, features)


def answered(service: Service, asked: Asked, most: int) -> list[float]:
    """Of a page: something right, its DCG, known ones right, newcomers right, newcomers shown, of these right by chance."""
    cascade, n_items = copy.copy(service.cascade), service.shelf.n_items
    share = 0.0
    if most:
        party = service.new_items.of_moment(2**62)
        assert party is not None
        may = ~np.isin(party.newcomers.numbers, asked.items)
        share = float(np.isin(party.newcomers.numbers[may], asked.wanted).mean())
        cascade.newcomers = replace(party.newcomers, may=may, most=most)
        cascade.page, cascade.steering = party.page, party.steering
    shown = walk(cascade, request(service, asked), seed=0).slates.items[0]
    right, new = np.isin(shown, asked.wanted) & (shown > 0), shown >= n_items
    dcg = float((right / np.log2(2 + np.arange(len(shown)))).sum())
    return [right.any(), dcg, (right & ~new).sum(), (right & new).sum(), new.sum(), share * new.sum()]


def measured(folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as logs:
        service = Service(open_run(folder / "run"), Path(logs), ServeConfig(rotate_s=1000.0))
        rows = pl.read_parquet(folder / "held.parquet", columns=["item_id", "title", "text", "categories"]).to_dicts()
        said = put(service, [Item(**row) for row in rows])
        every = asked_of(folder, service)
        made: dict[int, Float64] = {
            most: np.array([answered(service, one, most) for one in every], np.float64) for most in (0, 1, 2, 3)
        }
        service.close()
    found: dict[str, Any] = {
        "newcomers": len(rows), "with_kin": sum(one.recommendable for one in said.items), "requests": len(every),
        "precision_of_a_slot_without_them": round(made[0][:, 2].sum() / (SLOTS * len(every)), 4),
    }  # fmt: skip
    for most, of in made.items():
        shown, means = of[:, 4].sum(), of.mean(0)
        found |= {
            f"hit_rate_{most}": round(means[0], 4), f"dcg_{most}": round(means[1], 4),
            f"known_right_a_page_{most}": round(means[2], 4), f"newcomers_shown_{most}": int(shown),
            f"newcomers_right_{most}": int(of[:, 3].sum()),
            f"precision_of_newcomers_{most}": round(of[:, 3].sum() / max(shown, 1), 4),
            f"precision_of_random_ones_{most}": round(of[:, 5].sum() / max(shown, 1), 4),
        }  # fmt: skip
        for place, name in enumerate(("hit_rate", "dcg", "known_right_a_page")):
            apart = of[:, place] - made[0][:, place]
            found[f"{name}_{most}_less_off"] = f"{apart.mean():+.4f} +- {1.96 * apart.std() / np.sqrt(len(apart)):.4f}"
    return found


def costs(folder: Path, rounds: int = 8) -> dict[str, Any]:
    pipeline, draw = open_run(folder / "run"), rng(0, "benchmark of newcomers")
    words = np.array(" ".join(pl.read_parquet(folder / "held.parquet")["title"].to_list()).split(), object)
    users, services, found = pipeline.log.users.ids.to_list()[:50], {}, dict[str, Any]()
    for n in (0, 100, 10_000):
        services[n] = service = Service(pipeline, Path(tempfile.mkdtemp()), ServeConfig(rotate_s=1000.0))
        started = time.thread_time()
        for start in range(0, n, 1000):
            some = range(start, min(start + 1000, n))
            put(service, [Item(item_id=f"n{one}", title=f"New {one}", text=" ".join(draw.choice(words, 40))) for one in some])
        found[f"put_{n}_cpu_s"] = round(time.thread_time() - started, 2)
    services[-1] = Service(pipeline, Path(tempfile.mkdtemp()), ServeConfig(rotate_s=1000.0, newcomers=0))
    taken: dict[int, list[float]] = {n: [] for n in services}
    for turn in range(rounds):
        for n, service in services.items():
            for user in users:
                started = time.thread_time()
                service.recommend(user, f"{turn} {user}", seed=turn)
                taken[n].append(1000 * (time.thread_time() - started))
    for n, took in taken.items():
        found[f"answer_{'off' if n < 0 else n}_cpu_p50_ms"] = round(float(np.median(took)), 2)
    for service in services.values():
        service.close()
    return found


def main(folder: Path, name: str) -> None:
    folder = folder / name
    if not (folder / "run").is_dir():
        hold_out(folder, name)
        build(folder / "plan.toml", folder / "run", name=name)
    record(f"newcomers-{name}", {**measured(folder), **costs(folder)})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
