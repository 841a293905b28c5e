"""APOLLO against AdamW at equal tokens: as low a loss with a fraction of the optimizer's memory?

A language model is trained by each optimizer on the same rows in the same order, from the same first weights, with the rate
warmed up over a tenth of the steps and brought down by a cosine. Each is tried at four peak rates.

| arm | kept of a matrix [m, n], m <= n |
|---|---|
| adamw | two moments an element: 2 m n |
| apollo | two moments in a projection of rank d/4: 2 n r |
| apollo_mini | the same of rank 1: 2 n |
| sgd | momentum: m n |

| figure | one a | |
|---|---|---|
| loss | row | next-token cross-entropy on held-out text, nats |
| state_mib, matrix_state_mib | run | the optimizer's state of all parameters, and of the layers' matrices alone |
| log_matrix_state | run | logarithm of the latter's bytes |
| cpu_seconds | run | of training |

Embeddings get AdamW's moments under every arm but sgd, as the paper has it, at the arm's own rate.
Paper: Zhu et al., MLSys 2025 (arXiv 2412.05270). Our reading and the sizes: docs/papers/apollo.md.
"""

from collections.abc import Mapping
from math import log
from time import process_time
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from headrace.contracts.config import as_dict, config
from headrace.contracts.training import TrainConfig
from headrace.nn.body.config import TransformerConfig
from headrace.optim.makers import maker_of
from headrace.optim.state import state_bytes
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.language import Reading, Text, TextConfig, fitted, row_losses, rows_of
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID, TrialArm, Trials
from headrace.text.tokenizer import TokenizerConfig
from headrace.train.step import NotFinite

_MAIN = "next token"
_PUBLISHED = (
    "validation perplexity on C4 at 60M / 130M / 350M: AdamW 34.06 / 25.08 / 18.80, APOLLO 31.55 / 22.94 / 16.85, "
    "APOLLO-Mini 31.93 / 23.53 / 17.18, AdamW at rates that others tuned"
)
CLAIM = Claim(
    says="At equal tokens APOLLO loses at most 0.04 nats (under 1%) more than AdamW at the best of four rates.",
    published=_PUBLISHED, metric="loss", better="apollo", than="adamw", protocol=_MAIN, margin=0.04, form="not worse", less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="APOLLO-Mini loses at most 0.14 nats (3%) more than AdamW.",
        published=_PUBLISHED, metric="loss", better="apollo_mini", than="adamw", protocol=_MAIN, margin=0.14, form="not worse",
        less=True,
    ),
    Claim(
        says="SGD with momentum loses at least 0.24 nats (5%) more than AdamW.",
        published="not in the paper's tables: what the saved memory costs without a scale", metric="loss", better="adamw",
        than="sgd", protocol=_MAIN, margin=0.24, less=True,
    ),
    Claim(
        says="Of the layers' matrices APOLLO keeps at most 0.3 times the bytes that AdamW keeps.",
        published="2 n r + 2 numbers a matrix of m x n, against 2 m n", metric="log_matrix_state", better="apollo", than="adamw",
        protocol=_MAIN, margin=-log(0.3), less=True,
    ),
    Claim(
        says="APOLLO-Mini keeps at most 0.02 times as many.",
        published="2 n + 2 numbers a matrix of m x n, against 2 m n", metric="log_matrix_state", better="apollo_mini",
        than="adamw", protocol=_MAIN, margin=-log(0.02), less=True,
    ),
)  # fmt: skip
_SHOWN = ("loss", "state_mib", "matrix_state_mib", "log_matrix_state", "cpu_seconds")
_RATES = {
    "adamw": (1e-3, 2.5e-3, 6e-3, 1.5e-2),
    "apollo": (4e-3, 1e-2, 2.5e-2, 6e-2),
    "apollo_mini": (4e-3, 1e-2, 2.5e-2, 6e-2),
    "sgd": (0.1, 0.3, 1.0, 3.0),
}


@config
class MomentumConfig:
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9


class Momentum:
    """Torch's SGD."""

    Config = MomentumConfig
    revision = 1

    def __init__(self, config: MomentumConfig):
        self.config = config

    def __call__(self, module: nn.Module, train: TrainConfig, *, seed: int) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            module.parameters(), train.learning_rate, self.config.momentum, weight_decay=train.weight_decay, foreach=True
        )


@config
class ApolloRunConfig:
    """rank: of APOLLO's projection, a quarter of dim. held_out: rows of validation, and of test, at most."""

    text: TextConfig = TextConfig(corpus="imdb-reviews", tokenizer=TokenizerConfig(kind="bpe", size=2048), most=6_000_000)
    tokens: Annotated[int, Gt(0)] = 884_736
    rows: Annotated[int, Gt(0)] = 16
    length: Annotated[int, Gt(1)] = 128
    dim: Annotated[int, Gt(0)] = 128
    layers: Annotated[int, Gt(0)] = 2
    heads: Annotated[int, Gt(0)] = 4
    rank: Annotated[int, Gt(0)] = 32
    held_out: Annotated[int, Gt(0)] = 384

    @property
    def steps(self) -> int:
        return self.tokens // (self.rows * self.length)


_SMOKE = ApolloRunConfig(text=TextConfig(), tokens=4 * 16 * 20, rows=4, length=16, dim=16, heads=2, rank=4, held_out=16)
_FULL = ApolloRunConfig(
    text=TextConfig(corpus="imdb-reviews", tokenizer=TokenizerConfig(kind="bpe", size=4096)), tokens=3_000 * 32 * 128,
    rows=32,
)  # fmt: skip


def work(budget: Budget) -> Trials:
    chosen = {"smoke": _SMOKE, "cpu": ApolloRunConfig(), "full": _FULL}[budget]
    kinds: Mapping[str, Mapping[str, Any]] = {
        "adamw": {"optimizer": "adamw"},
        "apollo": {"optimizer": "apollo", "optimizer_settings": {"rank": chosen.rank}},
        "apollo_mini": {"optimizer": "apollo_mini"},
        "sgd": {"optimizer": f"{__name__}:Momentum"},
    }
    reading = Reading(chosen.text)

    return Trials(
        data=chosen.text.corpus,
        arms={
            name: TrialArm(own, [{"rate": rate} for rate in (_RATES[name][1:2] if budget == "smoke" else _RATES[name])])
            for name, own in kinds.items()
        },
        settings={_MAIN: as_dict(chosen)},
        described={
            _MAIN: f"{chosen.tokens:,} tokens, {chosen.rows} x {chosen.length} a step; {chosen.layers} layers, {chosen.dim} wide"
        },
        seeds=2 if budget == "smoke" else 3,
        metrics=_SHOWN,
        run=lambda setting, own, seed: run(reading.text, chosen, own, seed),
        open_data=reading,
    )


def run(text: Text, settings: ApolloRunConfig, own: Mapping[str, Any], seed: int) -> Figures:
    """own: optimizer, its settings, and the peak rate."""
    of = TransformerConfig(dim=settings.dim, decoder_layers=settings.layers, heads=settings.heads)
    made: list[torch.optim.Optimizer] = []

    def making(module: nn.Module, train: TrainConfig) -> torch.optim.Optimizer:
        made.append(maker_of(train, "apollo")(module, train, seed=seed))
        return made[0]

    began, asked = process_time(), dict(own)
    try:
        body = fitted(
            text, of, rate=asked.pop("rate"), tokens=settings.tokens, rows=settings.rows, length=settings.length, seed=seed,
            maker=making, schedule="cosine", warmup_steps=max(settings.steps // 10, 1), **asked,
        )  # fmt: skip
    except NotFinite:
        return {name: np.array([np.inf]) for name in (VALID, *_SHOWN)}
    seconds = process_time() - began
    matrices = [parameter for parameter in body.stack.parameters() if parameter.dim() == 2]
    whole, kept = state_bytes(made[0]), state_bytes(made[0], matrices)
    found = {"state_mib": whole / 2**20, "matrix_state_mib": kept / 2**20, "log_matrix_state": log(kept), "cpu_seconds": seconds}
    losses = {
        name: row_losses(body, rows_of(part, settings.length, most=settings.held_out))
        for name, part in ((VALID, text.valid), ("loss", text.test))
    }
    return losses | {name: np.array([value]) for name, value in found.items()}
