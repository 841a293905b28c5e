"""Rows a second training DCNv2 on 39 fields, beside FuxiCTR, DeepCTR-Torch and torch-rechub, and the AUC each comes to.

    OMP_NUM_THREADS=2 python -m benchmarks.dcnv2 [--rows 1000000] [--rounds 1]

Rows as `benchmarks.rows` makes them, a million codes in all; 16 numbers a field, 3 full-rank crosses beside a tower 256, 128;
batch 4096, one epoch in the same order for all, Adam at 0.001, two threads. Ours are the ranker's parts on one table for all
fields, with its layer norm, through the trainer: "adamw" with dense gradients as the peers have them, "rowwise" with sparse ones.
CPU seconds of both cores, because others may be at work on them; wall seconds beside them. Peers have environments of their own.
Batches are ready in memory; what a system's own loader takes to shuffle and batch is told apart, as "loading". Systems run in
turn, and a ratio is the median over rounds of ratios within one. "best" is the AUC of the chances the labels were drawn from.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.running import DEEPCTR_TORCH, FUXICTR, TORCH_RECHUB, Peer
from benchmarks.record import record
from benchmarks.rows import SIZES, Rows, rows
from headrace.contracts.batch import Batch
from headrace.contracts.requests import Float64, Int64
from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned, Loss, Services
from headrace.contracts.training import TrainConfig
from headrace.evaluate.pointwise import auc
from headrace.methods.rank.dcnv2 import CrossNet
from headrace.nn.seeded import seeded
from headrace.nn.tables import FieldTable
from headrace.nn.tower import tower
from headrace.objectives.pointwise import pointwise
from headrace.train.trainer import train

DIM, CROSSES, HIDDEN, BATCH, RATE, THREADS, LOAD_ROWS = 16, 3, (256, 128), 4096, 1e-3, 2, 40_960
OURS = {"headrace adamw": False, "headrace rowwise": True}
PEERS: dict[str, Peer] = {"fuxictr": FUXICTR, "deepctr-torch": DEEPCTR_TORCH, "torch-rechub": TORCH_RECHUB}


class Model(nn.Module):
    """codes [B, 39] -> logits [B]."""

    def __init__(self, sparse: bool):
        super().__init__()
        width = len(SIZES) * DIM
        self.fields = FieldTable(SIZES, DIM, sparse=sparse)
        nn.init.normal_(self.fields.table.weight, std=0.05)
        self.norm, self.cross = nn.LayerNorm(width), CrossNet(width, CROSSES)
        self.deep, out = tower(width, HIDDEN, 0.0)
        self.head = nn.Linear(width + out, 1)

    def forward(self, codes: Tensor) -> Tensor:
        x0 = self.norm(self.fields(codes).flatten(1))
        logit: Tensor = self.head(torch.cat([self.cross(x0), self.deep(x0)], -1)).squeeze(-1)
        return logit


class Clicks:
    def __call__(self, model: Any, batch: Batch, services: Services) -> dict[str, Loss]:
        return {"click": Loss(pointwise(model(batch["codes"]), batch["label"]), float(len(batch["label"])))}


class Ready:
    """Batches in memory, in the rows' own order."""

    def __init__(self, given: Rows):
        codes, label = torch.from_numpy(given.codes).split(BATCH), torch.from_numpy(given.label).split(BATCH)
        self.batches = [{"codes": x, "label": y} for x, y in zip(codes, label, strict=True)]

    def epoch(self, epoch: int) -> Sequence[Batch]:
        return self.batches


def here(given: Rows, test: Int64, sparse: bool, seed: int) -> tuple[dict[str, Any], Float64]:
    with seeded(seed, "dcnv2"):
        model = Model(sparse)
    config = TrainConfig(
        epochs=1, learning_rate=RATE, beta2=0.999, clip_norm=10.0, device="cpu", optimizer="rowwise" if sparse else "adamw"
    )
    learned, parameters = Learned(model, [Clicks()], Ready(given)), sum(one.numel() for one in model.parameters())
    cpu, wall = time.process_time(), time.perf_counter()
    train(learned, config, seed=seed, name="dcnv2")
    found = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "parameters": parameters}
    cpu = time.process_time()
    order, whole = torch.from_numpy(rng(seed, "order").permutation(LOAD_ROWS)), torch.from_numpy(given.codes)
    for part in order.split(BATCH):
        whole[part], torch.from_numpy(given.label)[part]
    found["load_cpu_s"] = time.process_time() - cpu
    with torch.no_grad():
        logits = torch.cat([model(part) for part in torch.from_numpy(test).split(8192)])
    return found, logits.double().sigmoid().numpy()


def there(library: str, given: Rows, test: Int64, seed: int) -> tuple[dict[str, Any], Float64]:
    found, answered = PEERS[library].call(
        "dcnv2_rows", {"codes": given.codes, "label": given.label, "test": test}, threads=THREADS, library=library, seed=seed,
        sizes=SIZES, dim=DIM, cross_layers=CROSSES, hidden=HIDDEN, learning_rate=RATE, batch=BATCH, load_rows=LOAD_ROWS,
    )  # fmt: skip
    return found, answered["chances"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(THREADS)
    n = asked.rows // BATCH * BATCH
    given, test = rows(n, seed=1), rows(100_000, seed=2)
    rounds: list[dict[str, dict[str, Any]]] = []
    for number in range(asked.rounds):
        rounds.append({})
        for name in (*OURS, *PEERS):
            sparse = OURS.get(name)
            ran = there(name, given, test.codes, number) if sparse is None else here(given, test.codes, sparse, number)
            rounds[-1][name] = {**ran[0], "auc": auc(test.label, ran[1])}
            print(name, rounds[-1][name], flush=True)
    figures: dict[str, Any] = {
        "rows": n, "batch": BATCH, "steps": n // BATCH, "codes": sum(SIZES), "threads": THREADS, "rounds": asked.rounds,
        "best auc": round(auc(test.label, test.chance), 4),
    }  # fmt: skip
    for name in rounds[0]:
        found = [one[name] for one in rounds]
        mid = lambda key, found=found: statistics.median(one[key] for one in found)  # noqa: E731
        figures |= {
            f"{name}, rows per cpu_s": round(n / mid("cpu_s")), f"{name}, rows per wall_s": round(n / mid("wall_s")),
            f"{name}, loading, rows per cpu_s": round(LOAD_ROWS / mid("load_cpu_s")),
            f"{name}, auc": [round(one["auc"], 4) for one in found], f"{name}, parameters": found[0]["parameters"],
        }  # fmt: skip
        for ours in OURS:
            if name in PEERS:
                figures[f"{ours} / {name}, rows per cpu_s"] = _ratio(rounds, name, ours, "cpu_s")
                figures[f"{ours} / {name}, rows per wall_s"] = _ratio(rounds, name, ours, "wall_s")
    record("dcnv2" if asked.rows == 1_000_000 else f"dcnv2-{n}-rows", figures)


def _ratio(rounds: Sequence[dict[str, dict[str, Any]]], theirs: str, ours: str, key: str) -> float:
    ratio: float = statistics.median(one[theirs][key] / one[ours][key] for one in rounds)
    return round(ratio, 2)


if __name__ == "__main__":
    main()
