"""Deep and thin bodies by a switch: with DeepNorm or Sub-LN 48 layers learn what plain Post-LN does not.

A language model of 48 layers, 32 wide, is trained on the same rows of text in the same order, warmed up over 5% of the steps and
brought down in a line. Each arm is tried at the same rates. The output layer is a map of its own: an embedding that is also the
output predicts the token it stands for, wherever the first weights let it through.

| arm | norm_place | init |
|---|---|---|
| deepnorm | post | deepnorm: the residual times α, first weights divided by β |
| sub | sub | magneto: a norm inside each branch too, first weights times γ |
| post | post | xavier: the Transformer as it was |
| pre | pre | xavier: what most took up instead |
| post_bert | post | bert: N(0, 0.02²), so narrow at this width that branches say next to nothing at first |

A run that diverged counts as one that knows nothing, ln V a token. What every switch of the body promises on its own (it learns,
decoding is the whole pass, later tokens and padding have no say) are tests, not claims.
Paper: TorchScale (arXiv 2211.13184). Our reading and the sizes: docs/papers/torchscale.md.
"""

from collections.abc import Mapping
from math import log
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt

from headrace.contracts.config import as_dict, config
from headrace.nn.body.config import TransformerConfig
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.language import Reading, Text, TextConfig, fitted, row_losses, rows_of
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID, TrialArm, Trials
from headrace.text.tokenizer import TokenizerConfig
from headrace.train.step import NotFinite

_MAIN = "48 layers"
_PUBLISHED = "no figures of its own: with DeepNorm or Sub-LN a body trains at depths where Post-LN diverges"
_MARGIN = 0.1
CLAIM = Claim(
    says="At 48 thin layers DeepNorm loses at least 0.1 nats a token less than plain Post-LN.",
    published=_PUBLISHED, metric="loss", better="deepnorm", than="post", protocol=_MAIN, margin=_MARGIN, less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="Sub-LN with its derived first weights loses at least 0.1 nats a token less than plain Post-LN.",
        published=_PUBLISHED, metric="loss", better="sub", than="post", protocol=_MAIN, margin=_MARGIN, less=True,
    ),
)  # fmt: skip
ARMS: Mapping[str, Mapping[str, Any]] = {
    "deepnorm": {"norm_place": "post", "init": "deepnorm"},
    "sub": {"norm_place": "sub", "init": "magneto"},
    "post": {"norm_place": "post", "init": "xavier"},
    "pre": {"norm_place": "pre", "init": "xavier"},
    "post_bert": {"norm_place": "post", "init": "bert"},
}


@config
class ThinConfig:
    """held_out: rows at most, of validation for the choice of the rate and of test for the loss."""

    text: TextConfig = TextConfig(corpus="imdb-reviews", tokenizer=TokenizerConfig(kind="bytes"), most=2_000_000)
    tokens: Annotated[int, Gt(0)] = 61_440
    rows: Annotated[int, Gt(0)] = 8
    length: Annotated[int, Gt(1)] = 32
    dim: Annotated[int, Gt(0)] = 32
    layers: Annotated[int, Gt(0)] = 48
    heads: Annotated[int, Gt(0)] = 2
    held_out: Annotated[int, Gt(0)] = 600

    def body(self, own: Mapping[str, Any]) -> TransformerConfig:
        return TransformerConfig(
            dim=self.dim, decoder_layers=self.layers, heads=self.heads, tie=False, norm_place=own["norm_place"], init=own["init"]
        )


_SMOKE = ThinConfig(text=TextConfig(), tokens=6 * 4 * 16, rows=4, length=16, dim=8, layers=4, heads=1, held_out=20)
_FULL = ThinConfig(
    text=TextConfig(corpus="imdb-reviews", tokenizer=TokenizerConfig(kind="bpe", size=4096)), tokens=20_000_000, rows=64,
    length=256, dim=256, layers=64, heads=4,
)  # fmt: skip
_RATES = (1e-3, 4e-3, 16e-3)


def work(budget: Budget) -> Trials:
    chosen = {"smoke": _SMOKE, "cpu": ThinConfig(), "full": _FULL}[budget]
    rates, reading = _RATES[1:2] if budget == "smoke" else _RATES, Reading(chosen.text)

    return Trials(
        data=chosen.text.corpus,
        arms={name: TrialArm(own, [{"rate": rate} for rate in rates]) for name, own in ARMS.items()},
        settings={_MAIN: as_dict(chosen)},
        described={
            _MAIN: f"{chosen.tokens:,} tokens read, {chosen.rows} x {chosen.length} a step; {chosen.layers} layers, "
            f"{chosen.dim} wide"
        },
        seeds=2 if budget == "smoke" else 3,
        metrics=("loss",),
        run=lambda setting, own, seed: run(reading.text, chosen, own, seed),
        open_data=reading,
    )


def run(text: Text, settings: ThinConfig, own: Mapping[str, Any], seed: int) -> Figures:
    """own: norm_place, init and rate."""
    valid, test = (rows_of(part, settings.length, most=settings.held_out) for part in (text.valid, text.test))
    try:
        body = fitted(
            text, settings.body(own), rate=own["rate"], tokens=settings.tokens, rows=settings.rows, length=settings.length,
            seed=seed,
        )  # fmt: skip
    except NotFinite:
        return {VALID: np.array([np.inf]), "loss": np.full(len(test), log(text.tokenizer.size))}
    return {VALID: row_losses(body, valid), "loss": row_losses(body, test)}
