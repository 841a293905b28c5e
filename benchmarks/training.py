"""SASRec's training speed on MovieLens-100K, and what the trainer adds to a bare loop. CPU seconds, medians of five.

    OMP_NUM_THREADS=1 python -m benchmarks.training

L = 50, d = 64, 2 layers, 2 heads, the full softmax over 1,682 films. A position is one item to foresee (padding does not count).
Every round is the first epoch of the same seed, so all do the same work.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.record import record
from headrace.contracts.batch import Batch
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Loss, Services
from headrace.contracts.training import TrainConfig
from headrace.data import datasets
from headrace.data.log import Log
from headrace.methods.retrieve.sasrec import SASRec, SASRecConfig
from headrace.nn.seeded import seeded
from headrace.train.trainer import train

ROUNDS = 5
ONE_EPOCH = TrainConfig(epochs=1, device="cpu", precision="float32")


def cpu_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def sasrec(interactions: Interactions) -> Learned:
    with seeded(0, "init"):
        return SASRec(SASRecConfig(length=50, dim=64, layers=2, heads=2)).learn(interactions, {})


def positions_per_cpu_s(interactions: Interactions, threads: int, precision: str = "float32") -> int:
    torch.set_num_threads(threads)
    config = TrainConfig(epochs=1, device="cpu", precision=precision)  # type: ignore[arg-type]
    positions = int((interactions.history.lengths - 1).clip(0).sum())
    taken = [cpu_s(lambda: train(sasrec(interactions), config, seed=0)) for _ in range(ROUNDS + 1)]
    return round(positions / statistics.median(taken[1:]))


class Tiny:
    """A step that costs next to nothing, so that what stands around it shows."""

    def __init__(self) -> None:
        self.module, self.batches = nn.Linear(8, 1), [{"x": torch.ones(4, 8)}] * 2000

    def epoch(self, epoch: int) -> list[Batch]:
        return list(self.batches)

    def __call__(self, model: nn.Module, batch: Batch, services: Services) -> dict[str, Loss]:
        return {"tiny": Loss(model(batch["x"]).square().mean(), 4.0)}

    def bare_loop(self) -> None:
        optimizer = torch.optim.AdamW(self.module.parameters(), betas=(0.9, 0.98), fused=True)
        for batch in self.batches:
            optimizer.zero_grad(set_to_none=True)
            self.module(batch["x"]).square().mean().backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            optimizer.step()


def overhead_us() -> dict[str, float]:
    """A step of the trainer less a step of the loop anyone would write: the same forward, clipping and optimizer."""
    torch.set_num_threads(1)
    tiny = Tiny()
    learned = Learned(tiny.module, [tiny], tiny)
    steps = len(tiny.batches)
    pairs = [(cpu_s(tiny.bare_loop), cpu_s(lambda: train(learned, ONE_EPOCH, seed=0))) for _ in range(ROUNDS + 1)][1:]
    bare, ours = (1e6 * statistics.median(times) / steps for times in zip(*pairs, strict=True))
    return {"bare loop, us a step": round(bare), "trainer, us a step": round(ours), "overhead, us a step": round(ours - bare)}


def main() -> None:
    log = Log.from_tables(datasets.get("movielens-100k"))
    interactions = log.interactions(int(log.store.events.at_us.max()) + 1)
    record(
        "training",
        {
            "sasrec, 1 thread, positions per cpu_s": positions_per_cpu_s(interactions, 1),
            "sasrec, 2 threads, positions per cpu_s": positions_per_cpu_s(interactions, 2),
            "sasrec, 1 thread, bfloat16, positions per cpu_s": positions_per_cpu_s(interactions, 1, "bfloat16"),
            **overhead_us(),
        },
    )


if __name__ == "__main__":
    main()
