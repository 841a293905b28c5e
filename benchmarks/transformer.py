"""The one Transformer beside its peers: tokens a CPU second of training and of generation with a cache. One thread.

    python -m benchmarks.transformer [--rounds 5] [--no-peer]

A 4-layer, 256-wide decoder over 4,096 tokens, rows of 256. "learned": learned positions, layer norms, GELU, against Hugging
Face's GPT-2 and torch.nn.TransformerEncoder under a causal mask. "rope": RoPE, RMS norms, SwiGLU, no biases, against Llama.
A step is forward, cross-entropy of every next token and backward; a round takes the median of a few. Generation: greedy, 8 rows,
from 32 tokens. Rounds alternate; a ratio is the peer's CPU seconds over ours, the median over rounds: above 1, ours is faster.
Attention alone is benchmarks/attention.py.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.peers.running import ONE_THREAD, TRANSFORMERS
from benchmarks.record import record
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded

SIZES = {
    "dim": 256, "layers": 4, "heads": 4, "vocabulary": 4096, "rows": 8, "length": 256, "steps": 5, "prompt": 32, "new": 96,
    "swiglu": 683,
}  # fmt: skip
OURS = {
    "learned": TransformerConfig(
        dim=256, decoder_layers=4, heads=4, vocabulary=4096, length=512, position="learned", init="bert"
    ),
    "rope": TransformerConfig(
        dim=256, decoder_layers=4, heads=4, vocabulary=4096, norm="rms", activation="swiglu", hidden=683, bias="none", init="bert"
    ),
}  # fmt: skip


class Torch(nn.Module):
    """torch.nn's layers under the same embeddings, norms before, and tied output."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(4096, 256), nn.Embedding(512, 256)
        layer = nn.TransformerEncoderLayer(256, 4, 1024, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 4, nn.LayerNorm(256), enable_nested_tensor=False)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.layers(self.tokens(ids) + self.positions(torch.arange(length)), mask=mask, is_causal=True)
        logits: Tensor = x @ self.tokens.weight.T
        return logits


def cpu_s(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def step(model: nn.Module, logits: Callable[[Tensor], Tensor], ids: Tensor) -> None:
    model.zero_grad()
    loss = cross_entropy(logits(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()


@torch.inference_mode()
def generate(body: Transformer, prompt: Tensor, new: int) -> Tensor:
    cache, ids = body.cache(rows=len(prompt), extent=prompt.shape[1] + new), [prompt]
    for _ in range(new):
        ids.append(body.logits(body(Inputs(ids=ids[-1]), cache=cache).last[:, -1]).argmax(-1, keepdim=True))
    return torch.cat(ids, 1)


def ours() -> dict[str, dict[str, float]]:
    with seeded(0, "benchmark"):
        ids = torch.randint(4096, (SIZES["rows"], SIZES["length"]))
        bodies = {name: Transformer(of, "decoder") for name, of in OURS.items()}
        torch_layers = Torch()

    def trained(model: nn.Module, logits: Callable[[Tensor], Tensor]) -> float:
        step(model, logits, ids)
        return statistics.median(cpu_s(partial(step, model, logits, ids)) for _ in range(SIZES["steps"]))

    found = {"torch": {"train_s": trained(torch_layers, torch_layers)}}
    for name, body in bodies.items():

        def logits(ids: Tensor, body: Transformer = body) -> Tensor:
            return body.logits(body(Inputs(ids=ids)).last)

        train_s = trained(body, logits)
        generate(body, ids[:, : SIZES["prompt"]], 2)
        generate_s = cpu_s(partial(generate, body, ids[:, : SIZES["prompt"]], SIZES["new"]))
        found[name] = {"train_s": train_s, "generate_s": generate_s}
    return found


def theirs() -> dict[str, dict[str, float]]:
    script = Path(__file__).parent / "peers" / "transformers_decoder.py"
    done = subprocess.run(
        [TRANSFORMERS.python(), "-I", script, json.dumps(SIZES)], env={**os.environ, **ONE_THREAD}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def round_to(value: float) -> float:
    return round(value, 4) if value < 1 else round(value, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    mine, peers = [], []
    for _ in range(asked.rounds):
        mine.append(ours())
        peers.append({} if asked.no_peer else theirs())
    trained, made = SIZES["rows"] * SIZES["length"], SIZES["rows"] * SIZES["new"]
    figures: dict[str, Any] = {"rounds": asked.rounds, "torch": torch.__version__, "peer": TRANSFORMERS.name}

    def speed(name: str, what: str, tokens: int, runs: list[dict[str, dict[str, float]]], of: str) -> None:
        figures[name] = round(tokens / statistics.median(run[of][what] for run in runs))

    speed("train, torch.nn, tokens/cpu_s", "train_s", trained, mine, "torch")
    ratios = [run["torch"]["train_s"] / run["learned"]["train_s"] for run in mine]
    figures["train, learned, torch.nn / ours"] = round_to(statistics.median(ratios))
    for shape in OURS:
        for what, tokens in (("train", trained), ("generate", made)):
            speed(f"{what}, {shape}, ours, tokens/cpu_s", f"{what}_s", tokens, mine, shape)
            if not asked.no_peer:
                speed(f"{what}, {shape}, transformers, tokens/cpu_s", f"{what}_s", tokens, peers, shape)
                ratios = [
                    their[shape][f"{what}_s"] / my[shape][f"{what}_s"] for my, their in zip(mine, peers, strict=True)
                ]  # fmt: skip
                figures[f"{what}, {shape}, transformers / ours"] = round_to(statistics.median(ratios))
    record("transformer", figures)


if __name__ == "__main__":
    main()
