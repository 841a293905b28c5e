"""ItemKNN and EASE beside their peers: fit, then the 20 best unseen items of every user. CPU seconds, one thread.

    python -m benchmarks.neighbours [--rounds 5]

ItemKNN against implicit's CosineRecommender, EASE against RecTools' (implicit has none). The same job on both sides: every
event speaks, no shrinkage, as many neighbours besides the item itself, the same ridge; "lists in common" says how alike the
answers are. EASE's differ because RecTools 0.19 multiplies by the transpose of the paper's matrix, at the same cost. Rounds
alternate, so both meet the same machine; a ratio is the peer's CPU seconds over ours, the median over rounds: above 1, ours is
faster. Imports and the peer's conversion of the log stand apart.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when numpy loads

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.peers.running import IMPLICIT, RECTOOLS, Peer
from benchmarks.record import record
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, History, Int32, Requests
from headrace.contracts.rng import rng
from headrace.data import datasets
from headrace.data.log import Log
from headrace.methods.retrieve.ease import EASE, EASEConfig
from headrace.methods.retrieve.itemknn import ItemKNN, ItemKNNConfig

K, NEIGHBOURS, L2, ALL = 20, 100, 200.0, 1_000_000
PARTS = {"fit_s": "fit", "recommend_s": f"top-{K}"}
CHUNK = 256  # requests at a time, for bounded memory


@dataclass(frozen=True)
class Duel:
    make: Callable[[], Any]
    peer: Peer
    runner: str
    settings: dict[str, float]


DUELS = {
    "itemknn": Duel(
        lambda: ItemKNN(ItemKNNConfig(neighbours=NEIGHBOURS, shrink=0.0, history=ALL)),
        IMPLICIT, "implicit_cosine", {"neighbours": NEIGHBOURS, "k": K},
    ),
    "ease": Duel(lambda: EASE(EASEConfig(l2=L2, history=ALL)), RECTOOLS, "rectools_ease", {"l2": L2, "k": K}),
}  # fmt: skip


def movielens() -> Interactions:
    log = Log.from_tables(datasets.get("movielens-100k"))
    return log.interactions(int(log.store.events.at_us.max()) + 1)


def zipf(users: int = 6_040, items: int = 3_706, events: int = 825_000) -> Interactions:
    """Distinct (user, item) pairs, both sides drawn by a softened Zipf's law: share ~ 1 / (rank + 9)^power, 0.5 and 0.8."""
    draw, pairs = rng(0, "zipf"), np.zeros(0, np.int64)
    user_share, item_share = (1.0 / np.arange(10, n + 10) ** power for n, power in ((users, 0.5), (items, 0.8)))
    while len(pairs) < events:
        user = draw.choice(users, events, p=user_share / user_share.sum())
        item = draw.choice(items, events, p=item_share / item_share.sum())
        pairs = np.unique(np.concatenate([pairs, user * np.int64(items) + item]))
    user, item = np.divmod(np.sort(draw.permutation(pairs)[:events]), items)
    item = draw.permutation(items)[item]  # so that an item's number says nothing of its rank
    offsets = np.concatenate([[0, 0], np.cumsum(np.bincount(user, minlength=users))])
    history = History(offsets, (item + 1).astype(np.int32), np.arange(events, dtype=np.int64))
    return Interactions(history, items + 1, events, np.ones(events, np.float32), np.ones(items + 1, np.bool_))


def ours(make: Callable[[], Any], interactions: Interactions) -> tuple[dict[str, float], Int32]:
    users = np.flatnonzero(interactions.history.lengths).astype(np.int32)
    asked = Requests(np.full(len(users), ""), users, np.full(len(users), interactions.cut_us), interactions.history.take(users))
    model = make()
    started = time.process_time()
    model.fit(interactions)
    fitted = time.process_time()
    lists = [model.retrieve(some, K, Allowed(blocked=some.history)).items for _, some in asked.chunks(CHUNK)]
    return {"fit_s": fitted - started, "recommend_s": time.process_time() - fitted}, np.concatenate(lists)


def in_common(ones: Int32, others: Int32) -> float:
    """Mean share of a user's list that is in the other list too."""
    found = (ones[:, :, None] == others[:, None, :]) & (ones > 0)[:, :, None]
    return float(found.any(2).sum() / max((ones > 0).sum(), 1))


def compared(duel: Duel, interactions: Interactions, rounds: int) -> dict[str, Any]:
    ours(duel.make, interactions)  # the peer warms up in its own process
    mine: list[dict[str, float]] = []
    theirs: list[dict[str, Any]] = []
    for _ in range(rounds):
        taken, lists = ours(duel.make, interactions)
        figures, _, other = duel.peer.run(duel.runner, interactions.history, interactions.n_items, lists=None, **duel.settings)
        mine.append(taken)
        theirs.append(figures)
    name = duel.peer.name.partition("-")[0]
    found: dict[str, Any] = {}
    for part, said in PARTS.items():
        found[f"{said}, ours, cpu_s"] = round(statistics.median(one[part] for one in mine), 4)
        found[f"{said}, {name}, cpu_s"] = round(statistics.median(one[part] for one in theirs), 4)
        ratios = [their[part] / my[part] for my, their in zip(mine, theirs, strict=True)]
        found[f"{said}, {name} / ours"] = round(statistics.median(ratios), 2)
    totals = [sum(their[part] for part in PARTS) / sum(my.values()) for my, their in zip(mine, theirs, strict=True)]
    found[f"both, {name} / ours"] = round(statistics.median(totals), 2)
    found[f"import, {name}, cpu_s"] = round(statistics.median(one["import_s"] for one in theirs), 3)
    found[f"convert, {name}, cpu_s"] = round(statistics.median(one["conversion_s"] for one in theirs), 3)
    return {**found, "lists in common": round(in_common(lists, other), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    peers = ", ".join(duel.peer.name for duel in DUELS.values())
    figures: dict[str, Any] = {"rounds": rounds, "peers": peers, "neighbours": NEIGHBOURS, "l2": L2}
    for data, interactions in {"ml-100k": movielens(), "zipf": zipf()}.items():
        figures[f"{data}, users x items, events"] = (
            f"{(interactions.history.lengths > 0).sum():,} x {interactions.n_items - 1:,}, {len(interactions.history.items):,}"
        )
        for method, duel in DUELS.items():
            for what, value in compared(duel, interactions, rounds).items():
                figures[f"{data}, {method}, {what}"] = value
    record("neighbours", figures)


if __name__ == "__main__":
    main()
