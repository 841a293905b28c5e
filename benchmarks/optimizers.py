"""Bytes of state and time of a step: AdamW, APOLLO, APOLLO-Mini and Adafactor on a small Transformer's parameters.

    OMP_NUM_THREADS=1 python -m benchmarks.optimizers [--rounds 5]

4 layers, 256 wide, feed-forward 1,024, 4,000 words: 4.2 M parameters, of which 3.1 M are matrices of the layers. CPU seconds, one
thread, the median over rounds of the median step; rounds alternate, so all meet the same machine. apollo-torch 1.0.3 runs in an
environment of its own on the same weights and gradients. Ratios are to AdamW, fused, or, where it says so, to apollo-torch: below
1, ours is faster.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.peers.running import APOLLO_TORCH
from benchmarks.record import record
from headrace.optim.apollo import APOLLO
from headrace.optim.state import state_bytes

WIDTH, LAYERS, WORDS, RANK, STEPS = 256, 4, 4_000, 64, 12
MINI = {"rank": 1, "scaling": "tensor", "alpha": 128**0.5}
PEERS = {
    "apollo": {"rank": RANK, "scaling": "channel", "scale": 1.0},
    "apollo_mini": {"rank": 1, "scaling": "tensor", "scale": 128.0},
}


def weights() -> dict[str, nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"words": (WORDS, WIDTH)}
    for layer in range(LAYERS):
        shapes |= {f"{layer}.qkv": (3 * WIDTH, WIDTH), f"{layer}.out": (WIDTH, WIDTH), f"{layer}.norm": (WIDTH,)}
        shapes |= {f"{layer}.widen": (4 * WIDTH, WIDTH), f"{layer}.narrow": (WIDTH, 4 * WIDTH), f"{layer}.bias": (4 * WIDTH,)}
    made = {name: nn.Parameter(0.02 * torch.randn(shape, generator=draw)) for name, shape in shapes.items()}
    for one in made.values():
        one.grad = 0.01 * torch.randn(one.shape, generator=draw)
    return made


def ours(make: Callable[[list[nn.Parameter]], Optimizer], only: Callable[[str], bool] = lambda name: True) -> tuple[float, int]:
    """Seconds of a step, bytes of state."""
    parameters = [one for name, one in weights().items() if only(name)]
    optimizer, taken = make(parameters), []
    for _ in range(STEPS):
        started = time.process_time()
        optimizer.step()
        taken.append(time.process_time() - started)
    return statistics.median(taken[STEPS // 4 :]), state_bytes(optimizer)


def layered(parameters: list[nn.Parameter], **settings: object) -> Optimizer:
    """The words' table is AdamW's."""
    groups = [{"params": parameters[:1], "rank": 0}, {"params": parameters[1:]}] if len(parameters[0]) == WORDS else parameters
    return APOLLO(groups, **settings)  # type: ignore[arg-type]


OURS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "adamw": lambda given: torch.optim.AdamW(given, fused=True),
    "apollo": lambda given: layered(given, rank=RANK),
    "apollo_mini": lambda given: layered(given, **MINI),
    "adafactor": lambda given: torch.optim.Adafactor(given),
}


def theirs(settings: dict[str, object]) -> tuple[float, int]:
    """Of the layers' parameters alone: its plain AdamW is not what is compared."""
    given = {name: one for name, one in weights().items() if name != "words"}
    arrays = {f"weight.{name}": one.detach().numpy() for name, one in given.items()}
    arrays |= {f"gradient.{name}": one.grad.numpy()[None] for name, one in given.items() if one.grad is not None}
    figures, _ = APOLLO_TORCH.call(
        "apollo_updates", arrays, **settings, lr=0.01, weight_decay=0.0, refresh_every=200, timed=STEPS
    )
    return figures["step_s"], figures["state_bytes"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    found: dict[str, list[tuple[float, int]]] = {}
    layers = lambda name: name != "words"  # noqa: E731
    for _ in range(rounds):
        for name, make in OURS.items():
            found.setdefault(f"{name}, all", []).append(ours(make))
            found.setdefault(f"{name}, layers", []).append(ours(make, layers))
        for name, settings in PEERS.items():
            found.setdefault(f"apollo-torch {name}, layers", []).append(theirs(settings))
    seconds = {name: statistics.median(one for one, _ in each) for name, each in found.items()}
    held = {name: each[0][1] for name, each in found.items()}
    figures: dict[str, object] = {}
    for name in found:
        base = f"adamw, {name.rpartition(', ')[2]}"
        ratios = (
            statistics.median(a / b for (a, _), (b, _) in zip(found[name], found[base], strict=True)),
            held[name] / held[base],
        )
        figures |= {f"{name}, step_ms": round(1e3 * seconds[name], 3), f"{name}, state_bytes": held[name]}
        figures |= {f"{name}, step / adamw": round(ratios[0], 2), f"{name}, state / adamw": round(ratios[1], 4)}
    for name in PEERS:
        pairs = zip(found[f"{name}, layers"], found[f"apollo-torch {name}, layers"], strict=True)
        figures[f"{name}, layers, step / apollo-torch"] = round(statistics.median(a / b for (a, _), (b, _) in pairs), 2)
    record("optimizers", figures)


if __name__ == "__main__":
    main()
