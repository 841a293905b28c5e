"""Bytes of state and time of a step: APOLLO and APOLLO-Mini, AdamW, Adafactor, GaLore and 8-bit AdamW on a small Transformer.

    OMP_NUM_THREADS=1 python -m benchmarks.optimizers [--rounds 5] [--width 256]

4 layers, feed-forward 4 times as wide, 4,000 words. Two scopes: "all" parameters, where what projects leaves the words' table and
the vectors to its AdamW; and the layers' "matrices" alone. CPU seconds, one thread: the median over rounds of the median step,
rounds in turn, so all meet the same machine. Peers run in environments of their own on the same weights and gradients; the bytes
are counted alike. "first_ms" is the first step's, in which GaLore finds its projections, and does so again every 200 steps.
Ratios are to AdamW, fused, or, where it says so, to a peer: below 1, ours is faster.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.peers.running import APOLLO_TORCH, BITSANDBYTES, GALORE_TORCH, TORCHAO, Peer
from benchmarks.record import record
from headrace.contracts.errors import DataError
from headrace.optim.apollo import APOLLO
from headrace.optim.state import state_bytes

LAYERS, WORDS, STEPS, REFRESH = 4, 4_000, 12, 200
MINI: dict[str, Any] = {"rank": 1, "scaling": "tensor", "alpha": 128**0.5}
Weights = dict[str, nn.Parameter]
Figures = Mapping[str, Mapping[str, float]]
"""By scope: step_s, first_s, state_bytes."""


def weights(width: int) -> Weights:
    draw = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"words": (WORDS, width)}
    for layer in range(LAYERS):
        shapes |= {f"{layer}.qkv": (3 * width, width), f"{layer}.out": (width, width), f"{layer}.norm": (width,)}
        shapes |= {f"{layer}.widen": (4 * width, width), f"{layer}.narrow": (width, 4 * width), f"{layer}.bias": (4 * width,)}
    made = {name: nn.Parameter(0.02 * torch.randn(shape, generator=draw)) for name, shape in shapes.items()}
    for one in made.values():
        one.grad = 0.01 * torch.randn(one.shape, generator=draw)
    return made


def scopes(given: Weights) -> dict[str, list[str]]:
    return {"all": list(given), "matrices": [name for name, one in given.items() if one.dim() == 2 and name != "words"]}


def apollo(given: Weights, **settings: Any) -> Optimizer:
    """The words' table is AdamW's."""
    groups: list[dict[str, Any]] = [{"params": [one for name, one in given.items() if name != "words"]}]
    if "words" in given:
        groups.append({"params": [given["words"]], "rank": 0})
    return APOLLO(groups, **settings)


def ours(width: int) -> dict[str, Callable[[Weights], Optimizer]]:
    return {
        "adamw": lambda given: torch.optim.AdamW(given.values(), fused=True),
        "apollo": lambda given: apollo(given, rank=width // 4),
        "apollo, half the rank": lambda given: apollo(given, rank=width // 8),
        "apollo_mini": lambda given: apollo(given, **MINI),
        "adafactor": lambda given: torch.optim.Adafactor(given.values()),
    }


def theirs(width: int) -> dict[str, tuple[Peer, dict[str, Any]]]:
    low = {"rank": width // 4, "scale": 1.0}
    return {
        "apollo-torch apollo": (APOLLO_TORCH, {"optimizer": "apollo-torch", **low, "scaling": "channel"}),
        "apollo-torch apollo_mini": (
            APOLLO_TORCH,
            {"optimizer": "apollo-torch", "rank": 1, "scaling": "tensor", "scale": 128.0},
        ),
        "galore-torch": (GALORE_TORCH, {"optimizer": "galore-torch", **low}),
        "galore-torch 8bit": (GALORE_TORCH, {"optimizer": "galore-torch 8bit", **low}),
        "bitsandbytes adamw 8bit": (BITSANDBYTES, {"optimizer": "bitsandbytes", **low}),
        "torchao adamw 8bit": (TORCHAO, {"optimizer": "torchao", **low}),
    }


def step_here(make: Callable[[Weights], Optimizer], width: int) -> Figures:
    found = {}
    for scope, names in scopes(weights(width)).items():
        optimizer, taken = make({name: one for name, one in weights(width).items() if name in names}), []
        for _ in range(STEPS):
            started = time.process_time()
            optimizer.step()
            taken.append(time.process_time() - started)
        step_s = statistics.median(taken[STEPS // 4 :])
        found[scope] = {"step_s": step_s, "first_s": taken[0], "state_bytes": state_bytes(optimizer)}
    return found


def step_there(peer: Peer, settings: Mapping[str, Any], width: int) -> Figures:
    given = weights(width)
    arrays = {f"weight.{name}": one.detach().numpy() for name, one in given.items()}
    arrays |= {f"gradient.{name}": one.grad.numpy() for name, one in given.items() if one.grad is not None}
    asked = {"plain": ["words"], "scopes": scopes(given), "steps": STEPS, "refresh_every": REFRESH, **settings}
    return peer.call("optimizer_steps", arrays, **asked)[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=int, default=256)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rounds: dict[str, list[Figures]] = {}
    figures: dict[str, object] = {}
    peers = theirs(asked.width)
    for _ in range(asked.rounds):
        for name, make in ours(asked.width).items():
            rounds.setdefault(name, []).append(step_here(make, asked.width))
        for name, (peer, settings) in list(peers.items()):
            try:
                rounds.setdefault(name, []).append(step_there(peer, settings, asked.width))
            except DataError as error:
                figures[f"{name}, does not run here"] = str(error).strip().splitlines()[-1]
                del peers[name], rounds[name]
    for name, scope in ((name, scope) for name in rounds for scope in ("all", "matrices")):
        found, base = [one[scope] for one in rounds[name]], [one[scope] for one in rounds["adamw"]]
        ms = lambda key, found=found: round(1e3 * statistics.median(one[key] for one in found), 3)  # noqa: E731
        held = found[0]["state_bytes"]
        figures |= {f"{name}, {scope}, step_ms": ms("step_s"), f"{name}, {scope}, first_ms": ms("first_s")}
        figures |= {f"{name}, {scope}, step / adamw": _ratio(found, base), f"{name}, {scope}, state_bytes": held}
        figures[f"{name}, {scope}, state / adamw"] = round(held / base[0]["state_bytes"], 5)
        if (peer_name := f"apollo-torch {name}") in rounds:
            figures[f"{name}, {scope}, step / apollo-torch"] = _ratio(found, [one[scope] for one in rounds[peer_name]])
    record("optimizers" if asked.width == 256 else f"optimizers-{asked.width}-wide", figures)


def _ratio(ours: list[Mapping[str, float]], theirs: list[Mapping[str, float]]) -> float:
    """Of a step's time, the median over rounds."""
    pairs = zip(ours, theirs, strict=True)
    return round(statistics.median(one["step_s"] / other["step_s"] for one, other in pairs), 2)


if __name__ == "__main__":
    main()
