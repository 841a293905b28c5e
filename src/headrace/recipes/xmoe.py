"""Experts routed on a small sphere, against experts routed by a dot product: X-MoE's claim at a small size.

Masked language models of four languages at once, alike but for the feed-forward of one layer in the middle: 16 experts of which
a token takes one, or a single feed-forward as wide as one expert.

| arm | the layer |
|---|---|
| sphere | X-MoE: cosines on a sphere of half as many dimensions as experts, learned temperature |
| dot | the usual router, h · e_i |
| dense | one feed-forward: equal active work, fewer parameters |

Every arm reads the same rows with the same tokens hidden, and is tried at the same rates. A run is looked at after each tenth of
it, on the same held-out tokens: which expert each takes, and what the router was given.

| figure | one a | |
|---|---|---|
| loss | row | cross-entropy of its hidden tokens, nats |
| fluctuation | row | share of tokens that change expert from one look to the next, mean over the second half |
| log_fluctuation | run | its logarithm |
| collapse | run | Tr(Σ_W Σ_B⁺) of the router's inputs at the end; less is more collapsed |
| collapse_trend | run | ln(at the end / after the first tenth) |
| experts | run | in use at the end, e to the entropy of their loads |
| parameters, active | run | millions, in all and of one token |
| cpu_seconds | run | of training, looks included |

A dense body sends no token anywhere: its fluctuation and collapse are 0, its one expert in use.
Paper: X-MoE (arXiv 2204.09179). Our reading and the sizes: docs/papers/xmoe.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log
from time import process_time
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from headrace.contracts.batch import Batch
from headrace.contracts.config import as_dict, config
from headrace.contracts.requests import Float64, Int64
from headrace.contracts.seams import Batches
from headrace.data.token_rows import HiddenTokens, TokenRows
from headrace.data.tokens import Tokens
from headrace.evaluate.routing import collapse, fluctuation, in_use
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import RoutingConfig, TransformerConfig
from headrace.nn.body.experts import Experts
from headrace.nn.body.transformer import Transformer
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.language import Reading, Text, TextConfig, fitted, rows_of
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID, TrialArm, Trials
from headrace.text.tokenizer import TokenizerConfig
from headrace.train.step import NotFinite

_MAIN = "masked tokens"
_PUBLISHED = "validation perplexity of masked tokens: dense 23.51, SMoE 19.02, X-MoE 18.72; XTREME 61.4, 63.8, 65.3"
CLAIM = Claim(
    says="Routed on the sphere, the same experts lose less on hidden tokens than routed by a dot product.",
    published=_PUBLISHED, metric="loss", better="sphere", than="dot", protocol=_MAIN, less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="In the second half of a run, at most 0.7 times as many tokens change expert.",
        published="routing fluctuates less with X-MoE's router than with the usual one, through pre-training",
        metric="log_fluctuation", better="sphere", than="dot", protocol=_MAIN, margin=-log(0.7), less=True,
    ),
    Claim(
        says="From the first tenth of a run to its end, inputs of one expert are drawn together less.",
        published="the usual router's inputs collapse as training goes on, X-MoE's don't",
        metric="collapse_trend", better="sphere", than="dot", protocol=_MAIN,
    ),
    Claim(
        says="The experts lose less than one feed-forward of equal active work.",
        published=_PUBLISHED, metric="loss", better="sphere", than="dense", protocol=_MAIN, less=True,
    ),
)  # fmt: skip
ARMS: Mapping[str, Mapping[str, Any]] = {"sphere": {"router": "sphere"}, "dot": {"router": "dot"}, "dense": {"router": "none"}}
_SHOWN = (
    "loss", "fluctuation", "log_fluctuation", "collapse", "collapse_trend", "experts", "parameters", "active", "cpu_seconds",
)  # fmt: skip


@config
class XMoEConfig:
    """every: the layer of experts, as in RoutingConfig: 3 of 4 layers makes it the third. hidden: of each feed-forward.

    parts: looks at a run. held_out, looked_at: rows at most, of test for the loss and of validation for the looks.
    """

    text: TextConfig = TextConfig(corpus="multi30k", tokenizer=TokenizerConfig(kind="bpe", size=4096))
    tokens: Annotated[int, Gt(0)] = 1_382_400
    rows: Annotated[int, Gt(0)] = 8
    length: Annotated[int, Gt(1)] = 96
    dim: Annotated[int, Gt(0)] = 96
    layers: Annotated[int, Gt(0)] = 4
    every: Annotated[int, Gt(0)] = 3
    hidden: Annotated[int, Gt(0)] = 192
    experts: Annotated[int, Gt(1)] = 16
    width: Annotated[int, Gt(0)] = 8
    balance: Annotated[float, Gt(0)] = 0.01
    share: Annotated[float, Gt(0)] = 0.15
    parts: Annotated[int, Gt(1)] = 10
    held_out: Annotated[int, Gt(0)] = 1_000
    looked_at: Annotated[int, Gt(0)] = 128

    def body(self, router: Literal["sphere", "dot", "none"]) -> TransformerConfig:
        of = TransformerConfig(dim=self.dim, encoder_layers=self.layers, hidden=self.hidden)
        if router == "none":
            return of
        return replace(of, routing=RoutingConfig(experts=self.experts, router=router, width=self.width, every=self.every))


_SMOKE = XMoEConfig(
    text=TextConfig(), tokens=4 * 16 * 12, rows=4, length=16, dim=16, layers=2, every=2, hidden=16, experts=8, width=4, parts=3,
    held_out=20, looked_at=20,
)  # fmt: skip
_FULL = XMoEConfig(
    text=TextConfig(corpus="multi30k", tokenizer=TokenizerConfig(kind="bpe", size=8192)), tokens=2_949_120, rows=32, dim=128,
    hidden=128,
)  # fmt: skip
_RATES = (1e-3, 2e-3, 4e-3)


def work(budget: Budget) -> Trials:
    chosen = {"smoke": _SMOKE, "cpu": XMoEConfig(), "full": _FULL}[budget]
    rates, reading = _RATES[1:2] if budget == "smoke" else _RATES, Reading(chosen.text)

    return Trials(
        data=chosen.text.corpus,
        arms={name: TrialArm(own, [{"rate": rate} for rate in rates]) for name, own in ARMS.items()},
        settings={_MAIN: as_dict(chosen)},
        described={
            _MAIN: f"{chosen.share:.0%} of the tokens hidden; {chosen.tokens:,} read, {chosen.rows} x {chosen.length} a step; "
            f"{chosen.layers} layers, {chosen.dim} wide, {chosen.experts} experts of {chosen.hidden}"
        },
        seeds={"smoke": 2, "cpu": 3, "full": 5}[budget],
        metrics=_SHOWN,
        run=lambda setting, own, seed: run(reading.text, chosen, own, seed),
        open_data=reading,
    )


def run(text: Text, settings: XMoEConfig, own: Mapping[str, Any], seed: int) -> Figures:
    """own: router and rate."""
    of, began, looks = settings.body(own["router"]), process_time(), list[Look]()
    test, valid = (hidden_rows(text, part, settings, settings.held_out) for part in (text.test, text.valid))
    seen = hidden_rows(text, text.valid, settings, settings.looked_at)["ids"]
    rows = TokenRows(text.train, length=settings.length, batch_size=settings.rows, seed=seed)
    try:
        body = fitted(
            text, of, rate=own["rate"], tokens=settings.tokens, rows=settings.rows, length=settings.length, seed=seed,
            side="encoder", balance=settings.balance if of.routing.experts else 0.0, parts=settings.parts,
            batches=hiding(text, settings, rows, seed),
            watch=lambda body: looks.extend(look(body, seen)),
        )  # fmt: skip
    except NotFinite:
        sizes = {VALID: len(valid["ids"]), "loss": len(test["ids"]), "fluctuation": len(seen)}
        return {name: np.full(sizes.get(name, 1), np.inf) for name in (VALID, *_SHOWN)}
    seconds = process_time() - began
    whole = sum(parameter.numel() for parameter in body.parameters())
    idle = sum((len(one.experts) - one.top_k) * _size(one.experts[0]) for one in body.modules() if isinstance(one, Experts))
    found = routing_figures(looks, seen.numel())
    found |= {"parameters": whole / 1e6, "active": (whole - idle) / 1e6, "cpu_seconds": seconds}
    by_row = {VALID: losses_of(body, valid), "loss": losses_of(body, test), "fluctuation": moved(looks, len(seen))}
    return by_row | {name: np.array([value]) for name, value in found.items()}


@dataclass(frozen=True)
class Look:
    """chosen [rows, T, 1]: each token's expert; collapse: of what the router was given."""

    chosen: Int64
    collapse: float


def look(body: Transformer, ids: Tensor) -> list[Look]:
    """At the one layer of experts, if there is one."""
    layers = [module for module in body.modules() if isinstance(module, Experts)]
    given: list[Tensor] = []
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0])) for layer in layers]
    hidden = body(Inputs(ids=ids.to(body.output_vectors().device)))
    for hook in hooks:
        hook.remove()
    each = zip(hidden.chosen, given, strict=True)
    seen = [(chosen.cpu().numpy(), inputs.flatten(0, 1).double().cpu().numpy()) for chosen, inputs in each]
    return [Look(chosen, collapse(inputs, chosen.ravel())) for chosen, inputs in seen]


def moved(looks: Sequence[Look], rows: int) -> Float64:
    """Share of tokens that change expert between neighbouring looks of the second half, [rows]."""
    late = looks[len(looks) // 2 - 1 :]
    if not late:
        return np.zeros(rows)
    shares: Float64 = np.mean([fluctuation(one.chosen, other.chosen) for one, other in pairwise(late)], axis=0)
    return shares


def routing_figures(looks: Sequence[Look], tokens: int) -> dict[str, float]:
    """tokens: that were looked at; a share below one of them is taken as one."""
    share = float(moved(looks, 1).mean())
    found = {"log_fluctuation": log(max(share, 1 / tokens)), "collapse": 0.0, "collapse_trend": 0.0, "experts": 1.0}
    if looks:
        trend = log(looks[-1].collapse / looks[0].collapse)
        found |= {"collapse": looks[-1].collapse, "collapse_trend": trend, "experts": in_use(looks[-1].chosen)}
    return found


def hiding(text: Text, settings: XMoEConfig, rows: Batches, seed: int) -> HiddenTokens:
    known = text.tokenizer
    return HiddenTokens(rows, share=settings.share, mask=known.mask, least=known.reserved, size=known.size, seed=seed)


def hidden_rows(text: Text, tokens: Tokens, settings: XMoEConfig, most: int) -> Batch:
    """ids, targets [n, T] of rows with something to find, the same for every arm and seed."""
    rows = rows_of(tokens, settings.length, most=most)[:, :-1]
    drawn_from = TokenRows(tokens, length=settings.length, batch_size=1, seed=0)
    batch = hiding(text, settings, drawn_from, 0).hide({"ids": rows}, "held out")
    asked = (batch["targets"] >= 0).any(1)
    return {name: values[asked] for name, values in batch.items()}


@torch.no_grad()
def losses_of(body: Transformer, batch: Batch, *, at_once: int = 128) -> Float64:
    """Mean cross-entropy of each row's hidden tokens [n], nats."""
    found = []
    for ids, targets in zip(*(torch.split(batch[name], at_once) for name in ("ids", "targets")), strict=True):
        there = targets >= 0
        losses = cross_entropy(body.logits(body(Inputs(ids=ids)).last[there]), targets[there], reduction="none")
        sums = losses.new_zeros(len(ids)).index_add(0, there.nonzero()[:, 0], losses)
        found.append(sums / there.sum(1))
    return torch.cat(found).double().numpy()


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
