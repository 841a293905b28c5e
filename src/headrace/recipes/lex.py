"""A decoder that is trained on rows of 128 tokens and reads longer ones: xPos with blockwise attention, the claim of LeX.

The first 1,024 tokens of long documents are cut anew into rows of 1, 2, 4 and 8 times the trained length l, so that every figure
is of the same targets. Positions differ between bodies; how far a token sees differs between figures of one body.

| arm | |
|---|---|
| xpos 8x in blocks | the claim: rows of 8 l, each token sees its own block of l/2 and the one before |
| rope 8x in blocks | the control: what blocks do without xPos |
| xpos 8x, rope 8x | rows of 8 l, whole attention |
| learned 8x | a table of 8 l positions of which the first l were trained |
| xpos 1x | rows of l: blocks and whole attention are the same there |

    resolution R = n² · Σ_i p_i (p_i - p_{i+1}),   p = softmax over n distances of the mean score at that distance

Above 0 where near keys score above far ones, at distances from l to 4 l, of which rows of 8 l have enough pairs; n² makes R one
of the curve's shape alone. Σ_i p_i (p_i - p_{i+1}) = ½ (p_1² - p_n²) + ½ Σ_i (p_i - p_{i+1})², so a curve that swings has more of
it too: it stands beside the losses, not for them.
Paper: LeX (arXiv 2212.10554). Our reading and the sizes: docs/papers/lex.md.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn.functional import cross_entropy

from headrace.contracts.config import as_dict, config
from headrace.contracts.requests import Float64
from headrace.contracts.rng import rng
from headrace.data.tokens import Tokens
from headrace.nn.attention.attend import FULL
from headrace.nn.attention.masks import Blockwise, MaskSpec
from headrace.nn.body.attention import SelfAttention
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.language import Reading, Text, TextConfig, fitted, row_losses, rows_of
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID, TrialArm, Trials
from headrace.text.tokenizer import TokenizerConfig

_MAIN = "long documents"
_PUBLISHED = "with blocks perplexity on long documents falls on beyond the trained length; a table's blows up, RoPE's rises"
CLAIM = Claim(
    says="xPos in blocks reads rows of 8 times the trained length at no more perplexity than rows of that length.",
    published=_PUBLISHED, metric="loss", better="xpos 8x in blocks", than="xpos 1x", protocol=_MAIN, less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="Control: so does RoPE in the same blocks.",
        published="not among the figures we know: our control of what blocks do alone", metric="loss",
        better="rope 8x in blocks", than="rope 1x", protocol=_MAIN, less=True,
    ),
    Claim(
        says="In the same blocks, at 8 times the trained length, xPos loses less than RoPE.",
        published=_PUBLISHED, metric="loss", better="xpos 8x in blocks", than="rope 8x in blocks", protocol=_MAIN, less=True,
    ),
    Claim(
        says="RoPE with whole attention has at least 1.15 times the perplexity at 4 times the trained length.",
        published=_PUBLISHED, metric="loss", better="rope 1x", than="rope 4x", protocol=_MAIN, margin=log(1.15), less=True,
    ),
    Claim(
        says="A learned table has at least 3 times the perplexity where its rows were never trained, at 8 times the length.",
        published=_PUBLISHED, metric="loss", better="learned 1x", than="learned 8x", protocol=_MAIN, margin=log(3), less=True,
    ),
    Claim(
        says="Beyond the trained length xPos resolves distances better than RoPE.",
        published="a better resolution of positions is what xPos is made for", metric="resolution", better="xpos 8x",
        than="rope 8x", protocol=_MAIN,
    ),
)  # fmt: skip
TIMES = (1, 2, 4, 8)
_SCORED = 16
"""Documents whose scores are looked at."""
_AT_ONCE = 8_192
"""Tokens in a pass."""


@config
class LexConfig:
    """trained: the length. documents: of test, at most. held_out: rows of validation that rates are chosen on."""

    text: TextConfig = TextConfig(corpus="imdb-reviews", tokenizer=TokenizerConfig(kind="bpe", size=1024), most=6_000_000)
    tokens: Annotated[int, Gt(0)] = 921_600
    rows: Annotated[int, Gt(0)] = 16
    trained: Annotated[int, Gt(1)] = 128
    dim: Annotated[int, Gt(0)] = 96
    layers: Annotated[int, Gt(0)] = 3
    heads: Annotated[int, Gt(0)] = 4
    rates: tuple[float, ...] = (2e-3, 4e-3)
    documents: Annotated[int, Gt(0)] = 120
    held_out: Annotated[int, Gt(0)] = 300

    @property
    def longest(self) -> int:
        return max(TIMES) * self.trained

    def body(self, own: Mapping[str, Any]) -> TransformerConfig:
        return TransformerConfig(
            dim=self.dim, decoder_layers=self.layers, heads=self.heads, norm_place="sub", init="magneto",
            position=own["position"], length=self.longest,
        )  # fmt: skip


_SMOKE = LexConfig(
    text=TextConfig(tokenizer=TokenizerConfig(kind="bpe", size=280)), tokens=25 * 8 * 8, rows=8, trained=8, dim=16, layers=2,
    heads=2, rates=(8e-3,), documents=20, held_out=30,
)  # fmt: skip
_FULL = LexConfig(
    text=TextConfig(corpus="imdb-reviews", tokenizer=TokenizerConfig(kind="bpe", size=2048)), tokens=6_000_000, rows=32, dim=128,
    layers=4, rates=(1e-3, 2e-3, 4e-3), documents=400,
)  # fmt: skip


def work(budget: Budget) -> Trials:
    chosen = {"smoke": _SMOKE, "cpu": LexConfig(), "full": _FULL}[budget]
    reading = Reading(chosen.text)

    return Trials(
        data=chosen.text.corpus,
        arms=arms(chosen.rates),
        settings={_MAIN: as_dict(chosen)},
        described={
            _MAIN: f"{chosen.tokens:,} tokens read in rows of {chosen.trained}, {chosen.rows} a step; {chosen.layers} layers, "
            f"{chosen.dim} wide; the first {chosen.longest:,} tokens of each document, cut into rows of 1 to 8 times that length"
        },
        seeds=2 if budget == "smoke" else 3,
        metrics=("loss", "resolution"),
        run=lambda setting, own, seed: run(reading.text, chosen, own, seed),
        open_data=reading,
        unit="documents",
    )


def arms(rates: Sequence[float]) -> dict[str, TrialArm]:
    """Three runs, and which of its losses each arm shows."""
    found, trials = {}, [{"rate": rate} for rate in rates]
    for position in ("xpos", "rope", "learned"):
        for blocks in ("", " in blocks"):
            for times in TIMES:
                if blocks and (times == 1 or position == "learned"):
                    continue
                found[f"{position} {times}x{blocks}"] = TrialArm({"position": position}, trials, {"loss": f"{times}x{blocks}"})
    return found


def run(text: Text, settings: LexConfig, own: Mapping[str, Any], seed: int) -> Figures:
    """own: position and rate. Figures: a loss a document for each length, whole and in blocks."""
    body = fitted(
        text, settings.body(own), rate=own["rate"], tokens=settings.tokens, rows=settings.rows, length=settings.trained, seed=seed
    )
    valid = row_losses(body, rows_of(text.valid, settings.trained, most=settings.held_out))
    documents = long_documents(text.test, settings.longest, most=settings.documents)
    mask = MaskSpec(Blockwise(settings.trained // 2))
    found = {VALID: valid, "resolution": np.array([resolution(body, documents[:_SCORED, :-1], settings.trained)])}
    for times in TIMES:
        found[f"{times}x"] = cut_losses(body, documents, times * settings.trained)
        found[f"{times}x in blocks"] = cut_losses(body, documents, times * settings.trained, mask)
    return found


def long_documents(tokens: Tokens, length: int, *, most: int) -> Tensor:
    """[n, length + 1]: the first tokens of documents that have so many; at most so many documents, drawn."""
    long = np.flatnonzero(tokens.lengths > length)
    drawn = np.sort(rng(0, "long documents", length).permutation(long)[:most])
    return torch.from_numpy(tokens.ids[tokens.offsets[drawn][:, None] + np.arange(length + 1)].astype(np.int64))


@torch.no_grad()
def cut_losses(body: Transformer, documents: Tensor, length: int, mask: MaskSpec = FULL) -> Float64:
    """[n]: nats a token of documents [n, m·length + 1] read in m rows each, which see nothing of each other.

    By the dense backend, so that figures differ in what is seen and in nothing of how it is worked out.
    """
    rows, found = documents.unfold(1, length + 1, length).flatten(0, 1), []
    for part in torch.split(rows, max(_AT_ONCE // length, 1)):
        logits = body.logits(body(Inputs(ids=part[:, :-1], mask=mask, backend="dense")).last)
        found.append(cross_entropy(logits.transpose(1, 2), part[:, 1:], reduction="none").mean(1))
    losses: Float64 = torch.cat(found).double().view(len(documents), -1).mean(1).numpy()
    return losses


def resolution(body: Transformer, ids: Tensor, trained: int) -> float:
    """Mean over layers and heads, at distances trained .. 4·trained - 1. ids [n, T]."""
    shares = score_curves(body, ids)[..., trained : 4 * trained].softmax(-1)
    near, far = shares[..., :-1], shares[..., 1:]
    return float((near * (near - far)).sum(-1).mean()) * shares.shape[-1] ** 2


@torch.no_grad()
def score_curves(body: Transformer, ids: Tensor) -> Tensor:
    """[layers, heads, T]: mean score, before the softmax, of a query and a key at each distance."""
    layers = [module for module in body.modules() if isinstance(module, SelfAttention)]
    given: list[Tensor] = []
    hooks = [layer.qkv.register_forward_hook(lambda _, __, out: given.append(out)) for layer in layers]
    body(Inputs(ids=ids))
    for hook in hooks:
        hook.remove()
    length = ids.shape[1]
    turn = body.stack.rotary(length, ids.device) if body.stack.rotary is not None else None
    curves = []
    for layer, out in zip(layers, given, strict=True):
        q, k = (part.view(len(ids), length, -1, layer.width).transpose(1, 2) for part in out.chunk(3, -1)[:2])
        if turn is not None:
            q, k = turn.queries(q, 0), turn.keys(k, 0)
        scores = torch.einsum("nhqd,nhkd->hqk", q, k) / (len(ids) * layer.width**0.5)
        curves.append(torch.stack([scores.diagonal(-distance, 1, 2).mean(-1) for distance in range(length)], -1))
    return torch.stack(curves)
