"""Sub-LN and the first weights derived for it bear larger learning rates: Magneto's claim at 24 thin layers.

A language model of 24 layers, 32 wide, is trained on the same rows of text in the same order, warmed up over 5% of the steps and
brought down in a line, once at each rate of one grid of factors of 2 and for each seed.

| arm | norm_place | init |
|---|---|---|
| magneto | sub | magneto |
| sub_alone | sub | xavier: without the derived scale |
| init_alone | pre | magneto: without the inner norms |
| pre | pre | xavier |
| post | post | xavier |

| figure | one a | |
|---|---|---|
| doublings | run | the largest stable rate, in factors of 2 over the grid's least |
| loss | row | on test, at the rate that was best on validation |
| update_slope | run | of ln |ΔF| over ln depth, after one step of gradient descent from the first weights |
| adam_slope | run | the same after Adam's first step, which is the gradient's sign |
| flat | run | 1 where update_slope is at most 0.1, else 0 |

Stable: finite, and the validation loss at the end below 1.02 times the arm's best on the grid; -1 doublings where no rate is. A
run that diverged counts as one that knows nothing, ln V a token. F: the last hidden states; it is the layers that move, so little
that F is linear in the step.
Paper: Magneto (arXiv 2210.06423). Our reading and the sizes: docs/papers/magneto.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor
from torch.nn.functional import cross_entropy

from headrace.contracts.config import as_dict, config
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.language import Reading, Text, TextConfig, fitted, row_losses, rows_of
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID, TrialArm, Trials
from headrace.text.tokenizer import TokenizerConfig
from headrace.train.step import NotFinite

_MAIN = "24 layers"
_THEORY = "one step of gradient descent moves a Sub-LN body by a bound that is O(1) in its depth, Pre-LN's grows like ln L"
CLAIM = Claim(
    says="The largest stable rate of Magneto is at least twice that of Pre-LN.",
    published="tolerates larger rates: LibriSpeech, 36 layers, up to 3e-3 against 1.5e-3; at 24 to 72 layers of GPT too",
    metric="doublings", better="magneto", than="pre", protocol=_MAIN, margin=0.99,
)  # fmt: skip
FURTHER = (
    Claim(
        says="At the best rate of each, Magneto loses no more than Pre-LN.",
        published="better in 0, 1 and 4-shot at every depth", metric="loss", better="magneto", than="pre", protocol=_MAIN,
        form="not worse", less=True,
    ),
    Claim(
        says="Magneto's first update does not grow with depth (slope at most 0.1), Pre-LN's does.",
        published=_THEORY, metric="flat", better="magneto", than="pre", protocol=_MAIN, margin=0.99,
    ),
    Claim(
        says="Magneto's first update does not grow with depth (slope at most 0.1), Post-LN's does.",
        published=_THEORY, metric="flat", better="magneto", than="post", protocol=_MAIN, margin=0.99,
    ),
)  # fmt: skip
ARMS: Mapping[str, Mapping[str, Any]] = {
    "magneto": {"norm_place": "sub", "init": "magneto"},
    "sub_alone": {"norm_place": "sub", "init": "xavier"},
    "init_alone": {"norm_place": "pre", "init": "magneto"},
    "pre": {"norm_place": "pre", "init": "xavier"},
    "post": {"norm_place": "post", "init": "xavier"},
}
_SHOWN = ("doublings", "loss", "update_slope", "adam_slope", "flat")
STABLE, FLAT = 1.02, 0.1
_STEPS = 1e-3, 1e-5
"""Of gradient descent and of Adam: F is linear so far, and moves by more than what is rounded, since positions are in float32."""


@config
class MagnetoConfig:
    """rates: the grid, a factor 2 apart. depths: that the update is measured at. held_out: rows, of validation and of test."""

    text: TextConfig = TextConfig(corpus="imdb-reviews", tokenizer=TokenizerConfig(kind="bytes"), most=2_000_000)
    tokens: Annotated[int, Gt(0)] = 81_920
    rows: Annotated[int, Gt(0)] = 8
    length: Annotated[int, Gt(1)] = 32
    dim: Annotated[int, Gt(0)] = 32
    layers: Annotated[int, Gt(0)] = 24
    heads: Annotated[int, Gt(0)] = 2
    rates: tuple[float, ...] = (2e-3, 4e-3, 8e-3, 16e-3, 32e-3, 64e-3)
    depths: tuple[int, ...] = (6, 12, 24, 48)
    held_out: Annotated[int, Gt(0)] = 600

    def body(self, own: Mapping[str, Any]) -> TransformerConfig:
        return TransformerConfig(
            dim=self.dim, decoder_layers=self.layers, heads=self.heads, norm_place=own["norm_place"], init=own["init"]
        )


_SMOKE = MagnetoConfig(
    text=TextConfig(), tokens=6 * 4 * 16, rows=4, length=16, dim=8, layers=3, heads=1, rates=(4e-3, 8e-3), depths=(2, 4, 8),
    held_out=20,
)  # fmt: skip
_FULL = MagnetoConfig(
    text=TextConfig(corpus="imdb-reviews", tokenizer=TokenizerConfig(kind="bpe", size=1024)), tokens=3_000_000, rows=32, dim=64,
    heads=4, rates=(5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3, 64e-3),
)  # fmt: skip


def work(budget: Budget) -> Trials:
    chosen = {"smoke": _SMOKE, "cpu": MagnetoConfig(), "full": _FULL}[budget]
    reading = Reading(chosen.text)

    trials: list[Mapping[str, Any]] = [*({"rate": rate} for rate in chosen.rates), {"depths": list(chosen.depths)}]
    return Trials(
        data=chosen.text.corpus,
        arms={name: TrialArm(own, trials) for name, own in ARMS.items()},
        settings={_MAIN: as_dict(chosen)},
        described={
            _MAIN: f"{chosen.tokens:,} tokens read at each of {len(chosen.rates)} rates from {min(chosen.rates):g} on, "
            f"{chosen.rows} x {chosen.length} a step; {chosen.dim} wide"
        },
        seeds=2 if budget == "smoke" else 3,
        metrics=_SHOWN,
        run=lambda setting, own, seed: run(reading.text, chosen, own, seed),
        open_data=reading,
        over=over,
    )


def run(text: Text, settings: MagnetoConfig, own: Mapping[str, Any], seed: int) -> Figures:
    """own: norm_place, init, and a rate to train at or depths to measure the first update at."""
    if "depths" in own:
        each = np.log([update_sizes(text, settings, own, depth, seed) for depth in own["depths"]])
        plain, adam = np.polyfit(np.log(own["depths"]), each, 1)[0]
        return {"update_slope": np.array([plain]), "adam_slope": np.array([adam])}
    valid, test = (rows_of(part, settings.length, most=settings.held_out) for part in (text.valid, text.test))
    try:
        body = fitted(
            text, settings.body(own), rate=own["rate"], tokens=settings.tokens, rows=settings.rows, length=settings.length,
            seed=seed,
        )  # fmt: skip
    except NotFinite:
        return {VALID: np.array([np.inf]), "loss": np.full(len(test), log(text.tokenizer.size))}
    return {VALID: row_losses(body, valid), "loss": row_losses(body, test)}


def over(tried: Sequence[Mapping[str, Any]], figures: Sequence[Figures]) -> Figures:
    """One seed's: of runs at several rates, and of one that measured the update."""
    ran = sorted((one["rate"], place) for place, one in enumerate(tried) if "rate" in one)
    valid = np.array([figures[place][VALID].mean() for _, place in ran])
    valid = np.where(np.isfinite(valid), valid, np.inf)
    best = int(np.argmin(valid))
    stable = np.flatnonzero(valid < STABLE * valid[best])  # none, where all diverged
    slopes = next(found for one, found in zip(tried, figures, strict=True) if "depths" in one)
    return {
        "doublings": np.log2([ran[stable[-1]][0] / ran[0][0]]) if len(stable) else np.array([-1.0]),
        "loss": figures[ran[best][1]]["loss"],
        **slopes,
        "flat": (slopes["update_slope"] <= FLAT).astype(np.float64),
    }


def update_sizes(text: Text, settings: MagnetoConfig, own: Mapping[str, Any], depth: int, seed: int) -> tuple[float, float]:
    """|ΔF| over the step's length, root mean square a number: after a step down the gradient, and after one along its sign."""
    of = replace(settings.body(own), decoder_layers=depth, vocabulary=text.tokenizer.size)
    with seeded(seed, "language model"):
        body = Transformer(of, "decoder").double()
    ids = rows_of(text.train, settings.length, most=settings.rows, seed=seed)
    moving = list(body.stack.blocks.parameters())
    before = body(Inputs(ids=ids[:, :-1])).last
    loss = cross_entropy(body.logits(before).flatten(0, 1), ids[:, 1:].flatten())
    slopes = torch.autograd.grad(loss, moving)

    @torch.no_grad()
    def moved(by: Sequence[Tensor], step: float) -> float:
        for parameter, change in zip(moving, by, strict=True):
            parameter.sub_(step * change)
        after = body(Inputs(ids=ids[:, :-1])).last
        for parameter, change in zip(moving, by, strict=True):
            parameter.add_(step * change)
        return float((after - before).square().mean().sqrt()) / step

    return moved(slopes, _STEPS[0]), moved([slope.sign() for slope in slopes], _STEPS[1])
