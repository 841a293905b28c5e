"""The best learning rate falls with the length of a run, by a power law that small runs show.

For each of three short lengths the same model is trained at a grid of rates, each run decayed by cosine to its own end, on
sequences of which none is seen twice. The law is fitted to the three best rates and read at a longer length. There every arm
trains one model at its rate, on the same sequences in the same order.

| arm | its rate at the long length |
|---|---|
| law | what the law says |
| shortest | the best of the shortest length: no law |
| longest | the best of the longest of the three |
| rule_of_thumb | the best of the shortest, times (shortest / long)^0.32, the paper's β for large models |
| oracle | the best of the whole grid, run at the long length: not to be had in practice |

Paper: Bjorck et al., ICLR 2025 (arXiv 2409.19913). The model is SASRec's decoder, the language made up (docs/papers/lr_law.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt

from headrace.contracts.batch import Batch
from headrace.contracts.config import as_dict, config, parse
from headrace.contracts.errors import HeadraceError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Float64, History, Int64
from headrace.contracts.rng import rng
from headrace.contracts.seams import Services
from headrace.contracts.training import TrainConfig
from headrace.methods.retrieve.sasrec import SASRec, SASRecConfig
from headrace.nn.seeded import seeded
from headrace.optim.laws import RateLaw, best_rate, fit_law
from headrace.recipes.cells import Figures, Simulated
from headrace.recipes.claims import Claim
from headrace.recipes.protocol import Budget
from headrace.train.trainer import train

_MAIN = "twice the longest"
_PUBLISHED = "LR* falls as D^-β at a fixed model and batch; β 0.70 at 50M, 0.65 at 125M, 0.32 from 760M parameters on (table 2)"
CLAIM = Claim(
    says="At twice the longest length tried, the rate the law predicts ends in a lower loss than the best of the shortest.",
    published=_PUBLISHED, metric="loss", better="law", than="shortest", protocol=_MAIN, less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="The best rate falls with the length: β is above 0.",
        published=_PUBLISHED, metric="beta", better="law", than="shortest", protocol=_MAIN,
    ),
    Claim(
        says="The predicted rate costs no more than 0.5% of the loss at the best of the whole grid.",
        published=_PUBLISHED, metric="regret", better="law", than="oracle", protocol=_MAIN, margin=0.005, form="not worse",
        less=True,
    ),
    Claim(
        says="The predicted rate lies within one step of the grid, a factor 2, from the long length's own best.",
        published=_PUBLISHED, metric="steps_off", better="law", than="oracle", protocol=_MAIN, margin=1.0, form="not worse",
        less=True,
    ),
)  # fmt: skip
ARMS = ("law", "shortest", "longest", "rule_of_thumb", "oracle")
_RULE = 0.32
_WIDEST = 12


@config
class LawConfig:
    """lengths: tokens of the runs the law is fitted on; target: of the one it is read at. rates: the first grid, a factor 2."""

    lengths: tuple[int, ...] = (131_072, 262_144, 524_288)
    target: int = 1_048_576
    rates: tuple[float, ...] = (8e-3, 16e-3, 32e-3, 64e-3, 128e-3)
    words: Annotated[int, Gt(1)] = 512
    length: Annotated[int, Gt(1)] = 64
    rows: Annotated[int, Gt(0)] = 16
    dim: Annotated[int, Gt(0)] = 32
    warmup_steps: int = 10
    held_out: Annotated[int, Gt(0)] = 512

    @property
    def batch(self) -> int:
        """Tokens a step."""
        return self.rows * self.length


_SMOKE = LawConfig(
    lengths=(256, 512, 1_024), target=2_048, rates=(32e-3, 64e-3, 128e-3), words=32, length=16, rows=8, dim=8, held_out=64
)


def work(budget: Budget) -> Simulated:
    chosen = {
        "smoke": _SMOKE, "cpu": LawConfig(), "full": LawConfig(lengths=(524_288, 1_048_576, 2_097_152), target=4_194_304, dim=96),
    }[budget]  # fmt: skip
    return Simulated(
        data="a made-up language",
        arms={arm: {"arm": arm} for arm in ARMS},
        settings={_MAIN: as_dict(chosen)},
        described={
            _MAIN: f"{', '.join(f'{n:,}' for n in chosen.lengths)} tokens, then {chosen.target:,}, {chosen.batch:,} a step"
        },
        seeds=2 if budget == "smoke" else 3,
        metrics=("loss", "regret", "beta", "rate", "steps_off"),
        run=run,
    )


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One arm's run at the long length. The sweep behind it is made once a seed."""
    settings = parse(LawConfig, setting, where="lr_law")
    swept = sweep(settings, seed)
    best, oracle = swept.best, float(swept.target.min())
    rate, beta = {
        "law": (swept.law(settings.target), swept.law.beta),
        "shortest": (best[0], 0.0),
        "longest": (best[-1], 0.0),
        "rule_of_thumb": (best[0] * (settings.lengths[0] / settings.target) ** _RULE, _RULE),
        "oracle": (float(swept.rates[swept.target.argmin()]), 0.0),
    }[arm["arm"]]
    own = rate if arm["arm"] == "oracle" else best_rate(swept.rates, swept.target)
    loss = oracle if arm["arm"] == "oracle" else loss_of(settings, settings.target, rate, seed)
    off = abs(np.log2(rate / own))
    found = {"loss": loss, "regret": loss / oracle - 1, "beta": beta, "rate": rate, "steps_off": off}
    return {name: np.array([value]) for name, value in found.items()}


@dataclass(frozen=True)
class Swept:
    """rates [G]; target [G]: losses at the long length; best [K]: rates, by length."""

    law: RateLaw
    best: Sequence[float]
    rates: Float64
    target: Float64


@lru_cache(maxsize=8)
def sweep(settings: LawConfig, seed: int) -> Swept:
    """The grid at every length, the long one too, widened until no length's best is at its edge."""
    rates, lengths = list(settings.rates), (*settings.lengths, settings.target)
    found: dict[tuple[int, float], float] = {}
    while True:
        for length in lengths:
            for rate in rates:
                if (length, rate) not in found:
                    found[length, rate] = loss_of(settings, length, rate, seed)
        losses = np.array([[found[length, rate] for rate in rates] for length in lengths])
        least = losses.argmin(1)
        below, above = least.min() == 0, least.max() == len(rates) - 1
        if len(rates) >= _WIDEST or not (below or above):
            break
        rates = [rates[0] / 2] * bool(below) + rates + [rates[-1] * 2] * bool(above)
    grid = np.array(rates)
    law = fit_law(settings.lengths, np.tile(grid, (len(settings.lengths), 1)), losses[None, :-1], batch=settings.batch)
    return Swept(law, [best_rate(grid, one) for one in losses[:-1]], grid, losses[-1])


def loss_of(settings: LawConfig, length: int, rate: float, seed: int) -> float:
    """Held-out cross-entropy, nats a token, of one run; inf where it diverged."""
    model = SASRec(SASRecConfig(dim=settings.dim, length=settings.length, dropout=0.0, heads=2, layers=2), seed=seed)
    nothing = History(np.array([0, 0]), np.zeros(0, np.int32), np.zeros(0, np.int64))
    everything = np.ones(settings.words + 1, np.bool_)
    with seeded(seed, "lr_law"):
        learned = model.learn(Interactions(nothing, settings.words + 1, 1, np.zeros(0, np.float32), everything), {})
    steps = max(length // settings.batch, 1)
    learned = replace(learned, batches=_Fresh(language(settings, steps * settings.rows, seed, "training"), settings.rows))
    asked = TrainConfig(
        epochs=1, learning_rate=rate, schedule="cosine", warmup_steps=min(settings.warmup_steps, steps // 2), device="cpu",
        precision="float32",
    )  # fmt: skip
    try:
        train(learned, asked, seed=seed)
    except HeadraceError:  # a loss that is not finite
        return float("inf")
    (held_out,) = _Fresh(language(settings, settings.held_out, 0, "held out"), settings.held_out).epoch(0)
    with torch.no_grad():
        losses = learned.objectives[0](learned.module, held_out, Services({}, torch.Generator()))
    return float(next(iter(losses.values())).mean)


def language(settings: LawConfig, rows: int, seed: int, name: str) -> Int64:
    """[rows, length + 1] of words 1.. : each row has a topic; a word follows the one before, or the topic's taste, or one 4 back.

    Topics, tastes and successors are the same for every seed; what is said in them is not.
    """
    fixed, draw = rng(0, "language"), rng(seed, "language", name)
    topics, choices, words = 8, 4, settings.words
    taste = np.stack([fixed.permutation(words) for _ in range(topics)])
    successors = fixed.integers(0, words, (words, choices))
    zipf = np.cumsum(1 / np.arange(1, words + 1))
    width, topic = settings.length + 1, draw.integers(0, topics, rows)
    way = draw.random((width, rows))
    liked = taste[topic, np.searchsorted(zipf / zipf[-1], draw.random((width, rows))).clip(max=words - 1)]
    which = draw.geometric(0.5, (width, rows)).clip(max=choices) - 1
    said = np.empty((width, rows), np.int64)
    for place in range(width):
        back = said[max(place - 4, 0)] if place else liked[0]
        follows = successors[said[place - 1], which[place]] if place else liked[0]
        said[place] = np.where(way[place] < 0.5, follows, np.where(way[place] < 0.8, liked[place], back))
    return said.T + 1


class _Fresh:
    """Batches of rows that are read once: one epoch. Implements `Batches`."""

    def __init__(self, said: Int64, rows: int):
        self.said, self.rows = torch.from_numpy(said), rows

    def epoch(self, epoch: int) -> Sequence[Batch]:
        return [{"items": part[:, :-1], "targets": part[:, 1:]} for part in torch.split(self.said, self.rows)]
