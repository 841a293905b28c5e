"""Training TIGER beside Hugging Face's T5 of the same size: sequences a CPU second, one thread.

    python -m benchmarks.generative [--rounds 5] [--examples 256]

Amazon Beauty's sequences and its published codes (your own copy in $HEADRACE_DATA): a sequence is a user's newest 20 items at
most, four tokens each, and the four of the item that came next. 4 + 4 layers, 128 wide, feed-forward 1,024, 4 heads of 32 on both
sides, dropout 0.1, 32 rows a batch, AdamW; a step is forward, loss, backward and the optimizer's. T5 is random at first, with
padding masked and a softmax over all 1,025 tokens; ours has one over a level's 256.
Every round takes other batches of the training part, as headrace.data.prefixes makes them ("by length": little is padding), and
the same examples in a random order, each batch padded to its longest ("random"). A ratio is of CPU seconds on the same examples,
the median over rounds, above 1 where ours is faster. T5 "by length" shows what the order alone gives: anybody may sort batches.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import record
from headrace.contracts.batch import Batch
from headrace.contracts.interactions import Interactions
from headrace.contracts.rng import rng
from headrace.contracts.seams import Services
from headrace.data import datasets
from headrace.data.holdouts import LeaveLast
from headrace.data.log import Log
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.published import published
from headrace.methods.retrieve.tiger import TIGER, TIGERConfig
from headrace.nn.seeded import seeded
from headrace.objectives.codes import NextCode

ROWS = 32
CONFIG = TIGERConfig(dim=128, layers=4, heads=4, hidden=1024, dropout=0.1, batch_size=ROWS)
Step = Callable[[Batch], Tensor]
"""A batch to its loss."""


def ours(interactions: Interactions, ids: SemanticIds) -> tuple[TIGER, Step, Any]:
    with seeded(0, "benchmark"):
        model = TIGER(CONFIG)
        batches = model.learn(interactions, {"semantic_ids": ids}).batches
    objective, services = NextCode(), Services({}, torch.Generator())
    return model.train(), lambda batch: objective(model, batch, services)["next_code"].mean, batches


def theirs(ids: SemanticIds) -> tuple[torch.nn.Module, Step]:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=ids.vocabulary, d_model=128, d_ff=1024, num_heads=4, d_kv=32, num_layers=4, num_decoder_layers=4,
        dropout_rate=0.1, pad_token_id=0, decoder_start_token_id=0, eos_token_id=None,
    )  # fmt: skip
    with seeded(0, "benchmark"):
        model = T5ForConditionalGeneration(config).train()
    tokens = torch.from_numpy(ids.tokens)

    def step(batch: Batch) -> Tensor:
        read = tokens[batch["items"]].flatten(1)
        loss: Tensor = model(input_ids=read, attention_mask=(read > 0).long(), labels=tokens[batch["item"]]).loss
        return loss

    return model, step


def drawn(batches: Any, number: int, examples: int) -> dict[str, list[Batch]]:
    """The same examples in both orders. Each batch is cut to its longest history."""
    whole = batches.epoch(number)
    draw = rng(number, "benchmark")
    chosen = draw.permutation(len(whole))[: -(-examples // ROWS)]
    rows = draw.permutation(np.concatenate([whole.places[place] for place in chosen]))
    mixed = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    return {
        "random": list(type(whole)(whole.source, whole.order, mixed)),
        "by length": [whole[place] for place in chosen],
    }


def cpu_s(model: torch.nn.Module, step: Step, optimizer: torch.optim.Optimizer, batches: list[Batch]) -> float:
    started = time.process_time()
    for batch in batches:
        step(batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=256)
    given = parser.parse_args()
    torch.set_num_threads(1)
    log = Log.from_tables(datasets.get("amazon-beauty-sequences"))
    ids = published(log.tables / "codes.parquet", log.items)
    tiger, our_step, batches = ours(LeaveLast().of(log).train(), ids)
    t5, their_step = theirs(ids)
    sides = {"headrace": (tiger, our_step), "t5": (t5, their_step)}
    optimizers = {name: torch.optim.AdamW(model.parameters()) for name, (model, _) in sides.items()}
    for name, (model, step) in sides.items():  # to warm up
        cpu_s(model, step, optimizers[name], drawn(batches, 0, ROWS)["random"])
    taken: dict[str, list[float]] = {}
    padded: dict[str, list[float]] = {}
    for number in range(given.rounds):
        orders = drawn(batches, number, given.examples)
        for order, parts in orders.items():
            read = sum(int((part["items"] > 0).sum()) for part in parts) / sum(part["items"].numel() for part in parts)
            padded.setdefault(order, []).append(1 - read)
            for name, (model, step) in sides.items():
                taken.setdefault(f"{name}, {order}", []).append(cpu_s(model, step, optimizers[name], parts))
    mine, lengths = taken["headrace, by length"], batches.lengths[batches.examples]
    figures: dict[str, Any] = {
        "rounds": given.rounds, "sequences a round": given.examples, "items in a history, mean": round(float(lengths.mean()), 2)
    }  # fmt: skip
    for name, (model, _) in sides.items():
        figures[f"parameters, {name}"] = sum(parameter.numel() for parameter in model.parameters())
    for order, shares in padded.items():
        figures[f"padding, {order}"] = round(statistics.median(shares), 3)
    for name, each in taken.items():
        figures[f"{name}, sequences per cpu_s"] = round(given.examples / statistics.median(each), 1)
    for name, each in taken.items():
        if each is not mine:
            ratios = [other / own for other, own in zip(each, mine, strict=True)]
            figures[f"headrace, by length, over {name}"] = round(statistics.median(ratios), 2)
            figures[f"headrace, by length, over {name}, each round"] = [round(ratio, 2) for ratio in ratios]
    record("generative", figures)


if __name__ == "__main__":
    main()
