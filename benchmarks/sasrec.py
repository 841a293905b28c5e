"""SASRec beside RecTools' on MovieLens-100K: positions trained on per CPU second, one thread; NDCG@10 after as many positions.

    python -m benchmarks.sasrec [--rounds 5] [--positions 2000000]

L = 50, d = 64, 2 layers, 2 heads, dropout 0.2, 64 rows a batch, Adam at 0.001, the full softmax. A position is one item to
foresee (padding does not count). Both learn from all but each user's last event (leave-last, ties in the file's order), unseen
items alone are proposed, and headrace.evaluate judges both. Rounds alternate; a ratio is ours over the peer's, the median over
rounds: above 1, ours is faster. Ours is a whole call of the trainer for one epoch; the peer's is an epoch after its first, by its
own trainer's callbacks. One of our epochs is every transition, one of the peer's each user's newest 50, so quality is compared
after equal positions, not epochs: one seed, no setting tuned for either side, no stopping early. The bodies are each library's
own: our feed-forward is 4 d wide and the peer's d, ours clips gradients at norm 1, and the peer pads every row to L.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when numpy loads

import statistics
import time
from typing import Any

import numpy as np
import torch

from benchmarks.peers.running import RECTOOLS
from benchmarks.record import record
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, History, Int32, Int64
from headrace.contracts.training import TrainConfig
from headrace.data import datasets
from headrace.data.holdouts import LeaveLast
from headrace.data.log import Log
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure
from headrace.methods.retrieve.sasrec import SASRec, SASRecConfig
from headrace.nn.seeded import seeded
from headrace.train.trainer import train

K, SEED, LEARNING_RATE = 10, 0, 0.001
CONFIG = SASRecConfig(length=50, dim=64, layers=2, heads=2, dropout=0.2, batch_size=64)
SHAPE = {name: getattr(CONFIG, name) for name in ("length", "dim", "layers", "heads", "dropout", "batch_size")}
PEER = {**SHAPE, "learning_rate": LEARNING_RATE, "k": K, "seed": SEED}


def trained(interactions: Interactions, epochs: int) -> tuple[SASRec, float]:
    """The model, and the CPU seconds the trainer took."""
    config = TrainConfig(epochs=epochs, learning_rate=LEARNING_RATE, device="cpu", precision="float32")
    with seeded(SEED, "init"):
        model = SASRec(CONFIG, seed=SEED)
        learned = model.learn(interactions, {})
    started = time.process_time()
    train(learned, config, seed=SEED)
    return model, time.process_time() - started


def ndcg(users: Int32, items: Int32, answers: History) -> float:
    values = measure(RankedLists(users, items), Relevant(answers.offsets, answers.items), [f"ndcg@{K}"])
    return float(np.nanmean(values[f"ndcg@{K}"]))


def lists_of(asked: Int32, users: Int64, items: Int32) -> Int32:
    """The peer's lists in the order of our requests; a user it leaves out has an empty one."""
    found = np.zeros((int(max(asked.max(), users.max())) + 1, K), np.int32)
    found[users] = items
    return found[asked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--positions", type=int, default=2_000_000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    split = LeaveLast(ties="file_order").of(Log.from_tables(datasets.get("movielens-100k")))
    learned_from, (requests, answers) = split.refit(), split.test()
    history, n_items = learned_from.history, learned_from.n_items
    positions = int((history.lengths - 1).clip(0).sum())
    trained(learned_from, 1)  # to warm up, as the peer's first epoch does
    mine: list[float] = []
    theirs: list[float] = []
    found: dict[str, Any] = {}
    for _ in range(given.rounds):
        mine.append(positions / trained(learned_from, 1)[1])
        found, _, _ = RECTOOLS.run("rectools_sasrec", history, n_items, **PEER, epochs=3)
        theirs.append(found["positions_per_epoch"] / statistics.median(found["epoch_s"][1:]))
    epochs = round(given.positions / positions)
    peer_epochs = round(epochs * positions / found["positions_per_epoch"])
    model, train_s = trained(learned_from, epochs)
    started = time.process_time()
    lists = model.retrieve(requests, K, Allowed(blocked=requests.history)).items
    recommend_s = time.process_time() - started
    found, users, items = RECTOOLS.run("rectools_sasrec", history, n_items, **PEER, epochs=peer_epochs)
    name = RECTOOLS.name
    record(
        "sasrec",
        {
            "rounds": given.rounds, "users asked": len(requests),
            "headrace, positions per cpu_s": round(statistics.median(mine)),
            f"{name}, positions per cpu_s": round(statistics.median(theirs)),
            f"headrace / {name}": round(statistics.median(my / their for my, their in zip(mine, theirs, strict=True)), 2),
            "headrace, positions an epoch": positions, f"{name}, positions an epoch": found["positions_per_epoch"],
            "headrace, epochs": epochs, f"{name}, epochs": peer_epochs,
            "headrace, train, cpu_s": round(train_s, 1), f"{name}, train, cpu_s": round(sum(found["epoch_s"]), 1),
            f"headrace, ndcg@{K}, one seed": round(ndcg(requests.users, lists, answers), 4),
            f"{name}, ndcg@{K}, one seed": round(ndcg(requests.users, lists_of(requests.users, users, items), answers), 4),
            "headrace, recommend, cpu_s": round(recommend_s, 3), f"{name}, recommend, cpu_s": round(found["recommend_s"], 3),
            f"{name}, import, cpu_s": round(found["import_s"], 2), f"{name}, conversion, cpu_s": round(found["conversion_s"], 3),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
