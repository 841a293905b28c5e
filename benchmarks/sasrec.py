"""SASRec beside RecTools' and RecBole's on MovieLens-100K, one thread: positions trained on per CPU second, peak memory, NDCG@10.

    python -m benchmarks.sasrec [recbole] [file_order] [step] [--seeds 3] [--positions 2000000] [--recbole-batches 12]

L = 50, d = 64, 2 layers, 2 heads, dropout 0.2, Adam at 0.001, the full softmax. A position is one item to foresee (padding does
not count). Leave-last: each user's last step is asked, the one before is not learned from but is in the history asked with; seen
items are left out; headrace.evaluate judges all. file_order: ties in time as the file has them; step: a tie is one step, in a
seeded order. A ratio is ours over the peer's, above 1 ours is better. No setting is tuned for either side, none stops early.

RecTools: 64 rows a batch on both sides, each seed one run of both, in turns; ours is the whole call of the trainer, the peer's
the median epoch after its first by its own trainer's callbacks. One of our epochs is every transition, one of the peer's each
user's newest 50, so quality is compared after equal positions. The bodies are each library's own: our feed-forward is 4 d wide
and the peer's d, ours clips gradients at norm 1, and the peer pads every row to L. Peak memory is each whole process's; ours
reads the log and trains every seed in one.

RecBole: its own batch of 2,048 rows, each a prefix padded to L, feed-forward 4 d wide. An epoch of either is every transition
once, so the ratio of positions is the ratio of epochs. Its epoch takes minutes: --recbole-batches measures that many of its 48
and multiplies; 0 measures all. Its evaluation and its augmentation are not counted.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when numpy loads

import statistics
import time
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.importing import status_mb
from benchmarks.peers.running import RECBOLE, RECTOOLS
from benchmarks.record import record
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Float64, History, Int32, Int64, Requests
from headrace.contracts.training import TrainConfig
from headrace.data import datasets
from headrace.data.holdouts import Held, LeaveLast
from headrace.data.log import Log
from headrace.evaluate.bootstrap import paired_difference
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure
from headrace.methods.retrieve.sasrec import SASRec, SASRecConfig
from headrace.nn.seeded import seeded
from headrace.train.trainer import train

K, LEARNING_RATE = 10, 0.001
CONFIG = SASRecConfig(length=50, dim=64, layers=2, heads=2, dropout=0.2, batch_size=64)
SHAPE = {name: getattr(CONFIG, name) for name in ("length", "dim", "layers", "heads", "dropout", "batch_size")}
PEER = {**SHAPE, "learning_rate": LEARNING_RATE, "k": K}


def trained(interactions: Interactions, epochs: int, seed: int) -> tuple[SASRec, float]:
    """The model, and the positions a CPU second of the trainer's call."""
    config = TrainConfig(epochs=epochs, learning_rate=LEARNING_RATE, device="cpu", precision="float32")
    with seeded(seed, "init"):
        model = SASRec(CONFIG, seed=seed)
        learned = model.learn(interactions, {})
    started = time.process_time()
    train(learned, config, seed=seed)
    return model, epochs * positions_of(interactions) / (time.process_time() - started)


def positions_of(interactions: Interactions) -> int:
    return int((interactions.history.lengths - 1).clip(0).sum())


def ndcg(users: Int32, items: Int32, answers: History) -> Float64:
    """[requests]; NaN where nothing is to be found."""
    return measure(RankedLists(users, items), Relevant(answers.offsets, answers.items), [f"ndcg@{K}"])[f"ndcg@{K}"]


def lists_of(asked: Int32, users: Int64, items: Int32) -> Int32:
    """The peer's lists in the order of our requests; a user it leaves out has an empty one."""
    found = np.zeros((int(max(asked.max(), users.max())) + 1, K), np.int32)
    found[users] = items
    return found[asked]


def answered(model: SASRec, requests: Requests) -> Int32:
    return model.retrieve(requests, K, Allowed(blocked=requests.history)).items


def beside_rectools(split: Held, seeds: int, positions: int) -> dict[str, Any]:
    fitted, history, (requests, answers) = split.train(), split.refit().history, split.test()
    epochs = round(positions / positions_of(fitted))
    fit_on = fitted.history.lengths.tolist()
    peer_positions = int(np.minimum(fitted.history.lengths - 1, CONFIG.length).clip(0).sum())
    peer_epochs = round(epochs * positions_of(fitted) / peer_positions)
    ours: list[Float64] = []
    theirs: list[Float64] = []
    speeds: list[tuple[float, float]] = []
    peaks = [0]
    trained(fitted, 1, 0)  # to warm up
    for seed in range(seeds):
        model, speed = trained(fitted, epochs, seed)
        ours.append(ndcg(requests.users, answered(model, requests), answers))
        found, users, items = RECTOOLS.run(
            "rectools_sasrec", history, fitted.n_items, **PEER, seed=seed, epochs=peer_epochs, fit_on=fit_on
        )
        theirs.append(ndcg(requests.users, lists_of(requests.users, users, items), answers))
        speeds.append((speed, found["positions_per_epoch"] / statistics.median(found["epoch_s"][1:])))
        peaks.append(found["peak_mb"])
    mine, its = np.mean(ours, 0), np.mean(theirs, 0)
    counted = ~np.isnan(mine)
    gap = paired_difference(requests.users[counted], mine[counted], its[counted])
    ours_mb, name, score = status_mb("self", "VmHWM"), RECTOOLS.name, f"ndcg@{K}"
    return {
        "seeds": seeds, "users asked": int(counted.sum()), "headrace, epochs": epochs, f"{name}, epochs": peer_epochs,
        "headrace, positions an epoch": positions_of(fitted), f"{name}, positions an epoch": peer_positions,
        "headrace, positions per cpu_s": round(statistics.median(my for my, _ in speeds)),
        f"{name}, positions per cpu_s": round(statistics.median(their for _, their in speeds)),
        f"headrace / {name}, positions per cpu_s": round(statistics.median(my / their for my, their in speeds), 2),
        f"headrace, {score}, by seed": [round(float(np.nanmean(one)), 4) for one in ours],
        f"{name}, {score}, by seed": [round(float(np.nanmean(one)), 4) for one in theirs],
        f"headrace, {score}, mean": round(float(np.nanmean(mine)), 4),
        f"{name}, {score}, mean": round(float(np.nanmean(its)), 4),
        f"{score}, headrace less {name}, 95% over users": [round(value, 4) for value in (gap.value, gap.lo, gap.hi)],
        "headrace, peak resident MB": ours_mb, f"{name}, peak resident MB": max(peaks),
        f"headrace / {name}, 1 / peak resident MB": round(max(peaks) / ours_mb, 2),
    }  # fmt: skip


def beside_recbole(split: Held, batches: int) -> dict[str, Any]:
    fitted, history, (requests, answers) = split.train(), split.refit().history, split.test()
    trained(fitted, 1, 0)  # to warm up
    model, speed = trained(fitted, 1, 0)
    found, users, items = RECBOLE.run(
        "recbole_sasrec", history, fitted.n_items, **PEER, seed=0, epochs=1, batches=batches or None,
        fit_on=fitted.history.lengths.tolist(),
    )  # fmt: skip
    speed = statistics.median([speed, trained(fitted, 1, 0)[1]])  # before and after: the load may have changed
    name, positions, measured = RECBOLE.name, positions_of(fitted), found["positions_per_epoch"]
    its_speed = measured / found["epoch_s"][0]
    figures = {
        "positions an epoch": positions, f"{name}, positions measured": measured,
        "headrace, positions per cpu_s": round(speed), f"{name}, positions per cpu_s": round(its_speed),
        "headrace, cpu_s an epoch": round(positions / speed, 2), f"{name}, cpu_s an epoch": round(positions / its_speed, 1),
        f"headrace / {name}": round(speed / its_speed, 1),
        f"{name}, augmentation, cpu_s": round(found["conversion_s"], 1),
        "headrace, peak resident MB": status_mb("self", "VmHWM"), f"{name}, peak resident MB": found["peak_mb"],
    }  # fmt: skip
    if not batches:
        figures[f"headrace, ndcg@{K}, one epoch"] = round(
            float(np.nanmean(ndcg(requests.users, answered(model, requests), answers))), 4
        )
        lists = lists_of(requests.users, users, items)
        figures[f"{name}, ndcg@{K}, one epoch"] = round(float(np.nanmean(ndcg(requests.users, lists, answers))), 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["recbole", "file_order", "step"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--positions", type=int, default=2_000_000)
    parser.add_argument("--recbole-batches", type=int, default=12)
    given = parser.parse_args()
    torch.set_num_threads(1)
    log = Log.from_tables(datasets.get("movielens-100k"))
    if "recbole" in given.parts:
        record("sasrec-recbole", beside_recbole(LeaveLast(ties="file_order").of(log), given.recbole_batches))
    protocols: tuple[Literal["file_order", "step"], ...] = ("file_order", "step")
    for ties in protocols:
        if ties in given.parts:
            record(f"sasrec-rectools-{ties}", beside_rectools(LeaveLast(ties=ties).of(log), given.seeds, given.positions))


if __name__ == "__main__":
    main()
