"""Codes by an autoencoder whose middle is quantised level by level, so that the space that is cut up is learned as well.

    z = encoder((x - mean) / scale);   q_1 .. q_L by `codebooks`;   x' = decoder(z + sg[Σ q - z])
    gradient   loss = |x - x'|² + Σ_l |sg[r_(l-1)] - q_l|² + beta Σ_l |r_(l-1) - sg[q_l]|²,  codebooks begun by residual k-means
    ema        loss = |x - x'|² + beta mean_l |z - sg[q_1 + .. + q_l]|²,  codebooks moved by averages, dead vectors replaced

All |.|² are means over entries. Encoder and decoder: blocks of Linear, LayerNorm, ReLU and Dropout beside a linear skip.
Shapes: vectors [n, dim] -> codes [n, levels]. Cost of training O(n (weights + levels codes latent)) an epoch.
Use it where vectors have directions that say little of an item, and compare its report with `residual_kmeans`, which has nothing
to tune. Watch the share of codes in use: below half, retrieval suffers silently. ema wants batches of some items a code.
Defaults are for two cores. Published: hidden (768, 512, 256), latent 128, batch_size 2048, 8,000 epochs (Amazon) or 1,500
(Steam); TIGER's own, as we recall it: hidden (512, 256, 128), latent 32, Adagrad at 0.4, 20,000 epochs.
Papers: TIGER (arXiv 2305.05065, section 3.1); the variants as in Mender (arXiv 2412.08604) and LIGER (arXiv 2411.18814). That a
level's loss does not reach back through the codes of the levels before it is our reading: docs/semantic_ids.md.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Float32, Int32, Int64
from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned, Loss, Services
from headrace.contracts.training import TrainConfig
from headrace.encode.semantic_ids.codebooks import Codebooks
from headrace.encode.semantic_ids.kmeans import kmeans, nearest
from headrace.encode.semantic_ids.quantiser import rows_to_fit, vectors_of
from headrace.nn.state import arrays_of, load_arrays_into

_AT_ONCE = 8192


@config
class RqVaeConfig:
    """codes: symbols a level. latent: the width that is quantised. decay: of ema's averages; beta: the weight of commitment."""

    levels: Annotated[int, Gt(0)] = 3
    codes: Annotated[int, Gt(0)] = 256
    codebooks: Literal["gradient", "ema"] = "gradient"
    hidden: tuple[Annotated[int, Gt(0)], ...] = (128,)
    latent: Annotated[int, Gt(0)] = 32
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    beta: Annotated[float, Ge(0)] = 0.25
    decay: Annotated[float, Gt(0), Lt(1)] = 0.99
    batch_size: Annotated[int, Gt(1)] = 1024
    train: TrainConfig = TrainConfig(epochs=60, weight_decay=0.1)


class RqVae(nn.Module):
    """A learned `Quantiser`. needs: the items' vectors."""

    Config = RqVaeConfig
    revision = 1
    needs = ("item_vectors",)

    def __init__(self, config: RqVaeConfig | None = None, *, seed: int = 0):
        super().__init__()
        self.config, self.seed, self.dim = config or RqVaeConfig(), seed, 0

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.config.codes,) * self.config.levels

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        """On items that were chosen before the cut alone; what is measured of the vectors is measured on them."""
        vectors: Float32 = artifacts["item_vectors"]
        known = torch.from_numpy(vectors[rows_to_fit(interactions, vectors, "rqvae")])
        self._make(known.shape[1])
        self.mean.copy_(known.mean(0))
        scale = known.std(0, correction=0)
        self.scale.copy_(torch.where(scale > 0, scale, 1))
        known = (known - self.mean) / self.scale
        if self.config.codebooks == "gradient":
            self._begin(known)
        batches = _Rows(known, self.config.batch_size, self.seed)
        objective = Quantising(crosses_rows=self.config.codebooks == "ema")
        return Learned(self, [objective], batches, needs=self.needs, weights={"commitment": self.config.beta})

    def encode(self, vectors: Float32) -> Int32:
        given = torch.from_numpy(vectors_of(vectors, self.dim, "rqvae"))
        self.eval()
        with torch.inference_mode():
            found = [self.codebooks(self.encoder((part - self.mean) / self.scale)).codes for part in torch.split(given, _AT_ONCE)]
        codes: Int32 = torch.cat(found).numpy().astype(np.int32)
        return codes

    def decode(self, codes: Int32) -> Float32:
        """codes [n, depth], of the first levels or all: what they say of the vectors."""
        self.eval()
        with torch.inference_mode():
            said: Float32 = (self.decoder(self.codebooks.said(torch.from_numpy(codes))) * self.scale + self.mean).numpy()
        return said

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {**arrays_of(self), "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: RqVaeConfig, arrays: Mapping[str, NDArray[Any]]) -> "RqVae":
        made = cls(config, seed=int(arrays["seed"]))
        made._make(len(arrays["mean"]))
        load_arrays_into(made, {name: values for name, values in arrays.items() if name != "seed"})
        return made.eval()

    def _make(self, dim: int) -> None:
        asked = self.config
        self.dim = dim
        widths = (dim, *asked.hidden)
        self.encoder = _layers(widths, asked.latent, asked.dropout)
        self.decoder = _layers((asked.latent, *reversed(asked.hidden)), dim, asked.dropout)
        decay = asked.decay if asked.codebooks == "ema" else None
        self.codebooks = Codebooks(asked.levels, asked.codes, asked.latent, decay=decay)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.mean: Tensor
        self.scale: Tensor

    @torch.no_grad()
    def _begin(self, known: Tensor) -> None:
        """Each codebook at the centroids of what the untrained encoder leaves to it; symbols beyond them as they were drawn."""
        self.eval()
        left = torch.cat([self.encoder(part) for part in torch.split(known, _AT_ONCE)]).numpy()
        for level, vectors in enumerate(self.codebooks.vectors):
            found = kmeans(left, self.config.codes, rng(self.seed, "rqvae", level))
            vectors[: len(found)] = torch.from_numpy(found)
            left = left - found[nearest(left, found)[0]]


class Quantising:
    """The objective of both variants. crosses_rows: codebooks that are averages of a whole batch, which ranks would not share."""

    def __init__(self, *, crosses_rows: bool):
        self.crosses_rows = crosses_rows

    def counts(self, batch: Batch) -> Mapping[str, float]:
        rows = float(len(batch["vectors"]))
        names = ("reconstruction", "commitment") if self.crosses_rows else ("reconstruction", "codes", "commitment")
        return dict.fromkeys(names, rows)

    def __call__(self, model: RqVae, batch: Batch, services: Services) -> Mapping[str, Loss]:
        x = batch["vectors"]
        z = model.encoder(x).float()
        found = model.codebooks(z)
        means = {"reconstruction": mse_loss(model.decoder(z + (found.said.sum(1) - z).detach()).float(), x)}
        if self.crosses_rows:
            means["commitment"] = mse_loss(z[:, None].expand_as(found.said), found.said.cumsum(1).detach())
            if z.requires_grad:
                model.codebooks.move_with(z, found, services.generator)
        else:
            levels = found.said.shape[1]  # a sum over levels of means over entries
            means["codes"] = levels * mse_loss(found.said, found.left.detach())
            means["commitment"] = levels * mse_loss(found.left, found.said.detach())
        return {name: Loss(mean, float(len(x))) for name, mean in means.items()}


class _Block(nn.Module):
    def __init__(self, dim: int, width: int, dropout: float):
        super().__init__()
        self.curve = nn.Sequential(nn.Linear(dim, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(dropout))
        self.skip = nn.Linear(dim, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        curved: Tensor = self.curve(x) + self.skip(x)
        return curved


def _layers(widths: Sequence[int], last: int, dropout: float) -> nn.Sequential:
    blocks = [_Block(dim, width, dropout) for dim, width in pairwise(widths)]
    return nn.Sequential(*blocks, nn.Linear(widths[-1], last))


class _Rows:
    """All rows in a drawn order, some at a time. Implements `Batches`."""

    def __init__(self, vectors: Tensor, batch_size: int, seed: int):
        self.vectors, self.batch_size, self.seed = vectors, batch_size, seed

    def epoch(self, epoch: int) -> Sequence[Batch]:
        return _Epoch(self, rng(self.seed, "rqvae rows", epoch).permutation(len(self.vectors)))


class _Epoch(Sequence[Batch]):
    def __init__(self, of: _Rows, order: Int64):
        self.parts = [order[start : start + of.batch_size] for start in range(0, len(order), of.batch_size)]
        self.of = of

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        return {"vectors": self.of.vectors[torch.from_numpy(self.parts[index])]}
