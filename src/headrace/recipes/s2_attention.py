"""Block-sparse attention whose heads share out the past, beside dense attention: S2-Attention's claim in a small language model.

Bodies that differ in their mask alone read the same text, and, as a second task, learn to repeat keys they saw 700 tokens ago.

| arm | first layer | other layers |
|---|---|---|
| dense | dense | dense |
| hybrid | dense | sparse, each head keeps another share of the older blocks |
| alike | dense | sparse, all heads keep the same share |
| sparse | sparse | sparse |

    text        rows of 1,024 bytes; loss in nats a byte, accuracy: share of bytes that are guessed right
    retrieval   4 keys, each one of 8 values of its slot, stand among the first 256 tokens of noise; a token that asks for a slot
                is to be answered by its key (`key_rows`). Loss and accuracy at exactly 700 tokens from the key.

score_share: of a causal mask's block pairs, those that a sparse layer works out (`BlockPattern.density`).
Retrieval is trained on rows of 128 tokens first, then 256, 512 and 1,024, as many tokens each: on long rows alone the dense body
itself does not learn it in this budget.
Paper: S2-Attention (arXiv 2407.17678). Our reading and the sizes: docs/papers/s2_attention.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import log
from time import process_time
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from torch.nn.functional import cross_entropy

from headrace.contracts.batch import Batch
from headrace.contracts.config import as_dict, config
from headrace.contracts.rng import rng
from headrace.data.token_rows import NOTHING
from headrace.data.tokens import Tokens
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import PatternConfig, TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.key_rows import Growing, key_rows
from headrace.recipes.language import Reading, Text, TextConfig, fitted, rows_of
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID, TrialArm, Trials

TEXT, RETRIEVAL = "text", "retrieval"
CLAIM = Claim(
    says="With its first layer dense and 0.42 of the scores in the others, perplexity is within 2% of dense attention's.",
    published="on par with dense attention at 1.3B and 7B parameters", metric="loss", better="hybrid", than="dense",
    protocol=TEXT, margin=log(1.02), form="not worse", less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="Heads that share out the past lose less than heads that all keep the same share of it.",
        published="heads should keep different shards of the past", metric="loss", better="hybrid", than="alike", protocol=TEXT,
        less=True,
    ),
    Claim(
        says="Keys 700 tokens back are found within 5 points of how often dense attention finds them.",
        published="retrieval at 128k tokens is perfect with dense layers among the sparse", metric="accuracy", better="hybrid",
        than="dense", protocol=RETRIEVAL, margin=0.05, form="not worse",
    ),
    Claim(
        says="Without the dense layer they are found less often.",
        published="dense layers among the sparse matter for retrieval", metric="accuracy", better="hybrid", than="sparse",
        protocol=RETRIEVAL,
    ),
)  # fmt: skip
ARMS: Mapping[str, Mapping[str, Any]] = {
    "dense": {"pattern": "none"}, "hybrid": {"pattern": "shared out"}, "alike": {"pattern": "alike"},
    "sparse": {"pattern": "shared out", "dense_layers": []},
}  # fmt: skip
_SHOWN = ("loss", "accuracy", "score_share", "cpu_seconds")


@config
class S2Config:
    """layers: of the body that reads text; retrieval_layers: that repeats keys. held_out: rows, of each task. rows: a step's."""

    text: TextConfig = TextConfig(corpus="imdb-reviews", most=4_000_000)
    tokens: Annotated[int, Gt(0)] = 491_520
    retrieval_tokens: Annotated[int, Gt(0)] = 1_228_800
    rows: Annotated[int, Gt(0)] = 2
    length: Annotated[int, Gt(7)] = 1024
    back: Annotated[int, Gt(0)] = 700
    dim: Annotated[int, Gt(0)] = 64
    heads: Annotated[int, Gt(0)] = 4
    layers: Annotated[int, Gt(1)] = 4
    retrieval_layers: Annotated[int, Gt(1)] = 2
    block: Annotated[int, Gt(0)] = 32
    local: Annotated[int, Gt(0)] = 4
    stride: Annotated[int, Gt(0)] = 4
    rates: tuple[float, ...] = (2e-3, 4e-3)
    held_out: Annotated[int, Gt(0)] = 96

    def body(self, own: Mapping[str, Any], task: str) -> TransformerConfig:
        of = TransformerConfig(
            dim=self.dim, decoder_layers=self.layers if task == TEXT else self.retrieval_layers, heads=self.heads,
            norm_place="sub", init="magneto",
        )  # fmt: skip
        if own["pattern"] == "none":
            return of
        pattern = PatternConfig(block=self.block, local=self.local, stride=self.stride, alike=own["pattern"] == "alike")
        return replace(of, pattern=pattern, dense_layers=tuple(own.get("dense_layers", (0,))))


_SMOKE = S2Config(
    text=TextConfig(), tokens=12 * 2 * 128, retrieval_tokens=12 * 2 * 128, length=128, back=90, dim=16, layers=2, block=4,
    local=2, rates=(4e-3,), held_out=12,
)  # fmt: skip
_FULL = S2Config(
    text=TextConfig(corpus="imdb-reviews"), tokens=3_997_696, retrieval_tokens=3_997_696, rows=4, dim=128, heads=8,
    rates=(1e-3, 2e-3, 4e-3), held_out=500,
)  # fmt: skip


def work(budget: Budget) -> Trials:
    chosen = {"smoke": _SMOKE, "cpu": S2Config(), "full": _FULL}[budget]
    reading = Reading(chosen.text)

    size = f"{chosen.dim} wide, {chosen.heads} heads; blocks of {chosen.block}, {chosen.local} local, a stride of {chosen.stride}"
    return Trials(
        data=chosen.text.corpus,
        arms={name: TrialArm(own, [{"rate": rate} for rate in chosen.rates]) for name, own in ARMS.items()},
        settings={task: {"task": task, **as_dict(chosen)} for task in (TEXT, RETRIEVAL)},
        described={
            TEXT: f"{chosen.tokens:,} bytes read in rows of {chosen.length:,}; {chosen.layers} layers, {size}",
            RETRIEVAL: f"{chosen.retrieval_tokens:,} tokens of noise with keys; asked {chosen.back} tokens later; "
            f"{chosen.retrieval_layers} layers, {size}",
        },
        seeds=2 if budget == "smoke" else 3,
        metrics=_SHOWN,
        run=lambda setting, own, seed: run(reading.text, chosen, setting["task"], own, seed),
        open_data=reading,
        unit="rows",
    )


def run(text: Text, settings: S2Config, task: str, own: Mapping[str, Any], seed: int) -> Figures:
    """own: pattern, dense_layers and rate."""
    of, began = settings.body(own, task), process_time()
    tokens = settings.tokens if task == TEXT else settings.retrieval_tokens
    body = fitted(
        text, of, rate=own["rate"], tokens=tokens, rows=settings.rows, length=settings.length, seed=seed,
        batches=None if task == TEXT else Growing(tokens, rows=settings.rows, length=settings.length, seed=seed),
    )  # fmt: skip
    seconds = process_time() - began
    valid, test = (
        (read_rows(part, settings) if task == TEXT else asked_rows(settings, name))
        for part, name in ((text.valid, "valid"), (text.test, "test"))
    )
    pattern = of.block_pattern
    share = 1.0 if pattern is None else pattern.density(settings.length)
    single = {"score_share": np.array([share]), "cpu_seconds": np.array([seconds])}
    return {VALID: scored(body, valid)["loss"], **scored(body, test), **single}


@torch.no_grad()
def scored(body: Transformer, rows: Batch, *, at_once: int = 16) -> Figures:
    """Of each row's targets, where there are any: mean cross-entropy in nats, and the share that is the likeliest [n]."""
    loss, accuracy = [], []
    for ids, targets in zip(*(torch.split(rows[name], at_once) for name in ("ids", "targets")), strict=True):
        logits = body.logits(body(Inputs(ids=ids)).last)
        n = (targets != NOTHING).sum(1)
        each = cross_entropy(logits.transpose(1, 2), targets, ignore_index=NOTHING, reduction="none")
        loss.append(each.sum(1) / n)
        accuracy.append((logits.argmax(-1) == targets).sum(1) / n)
    return {"loss": torch.cat(loss).double().numpy(), "accuracy": torch.cat(accuracy).double().numpy()}


def read_rows(tokens: Tokens, settings: S2Config) -> Batch:
    rows = rows_of(tokens, settings.length, most=settings.held_out)
    return {"ids": rows[:, :-1], "targets": rows[:, 1:]}


def asked_rows(settings: S2Config, name: str) -> Batch:
    """The same for every arm and seed."""
    return key_rows(settings.held_out, settings.length, rng(0, "key rows", name), back=settings.back)
