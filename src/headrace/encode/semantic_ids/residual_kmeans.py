"""Codes by k-means on what the codes before have left: the cheap way to semantic ids, and the default.

    r_0 = x - mean;   c_l = argmin_k ||r_(l-1) - C_l[k]||,   r_l = r_(l-1) - C_l[c_l]        l = 1 .. levels
    x ≈ mean + C_1[c_1] + .. + C_l[c_l]: each level says less than the one before, so items that begin alike are alike

Shapes: vectors [n, dim] -> codes [n, levels]. Cost: fit O(n codes dim) for each of at most 25 passes a level, n at most 256 a
code; encode O(n levels codes dim). With fewer distinct items than codes, some symbols are never used.
Use it on CPUs, and wherever the vectors' own geometry is good: no autoencoder stands between them and the codes, so it takes
seconds. Its sibling `rqvae` learns the space that is quantised, and has more to choose and to go wrong.
Papers: the residual quantisation of TIGER (arXiv 2305.05065, section 3.1) without its autoencoder. Centring, starts and the
care for empty codes are our reading: docs/semantic_ids.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Float32, Int32
from headrace.contracts.rng import rng
from headrace.encode.semantic_ids.kmeans import kmeans, nearest
from headrace.encode.semantic_ids.quantiser import rows_to_fit, vectors_of

_NOTHING = 1e-6  # of the vectors' mean square: a residual as small is rounding


@config
class ResidualKMeansConfig:
    """codes: symbols a level."""

    levels: Annotated[int, Gt(0)] = 3
    codes: Annotated[int, Gt(0)] = 256


class ResidualKMeans:
    """A closed-form `Quantiser`. needs: the items' vectors."""

    Config = ResidualKMeansConfig
    revision = 1
    needs = ("item_vectors",)

    def __init__(self, config: ResidualKMeansConfig | None = None, *, seed: int = 0):
        self.config, self.seed = config or ResidualKMeansConfig(), seed
        self.mean: Float32 = np.zeros(0, np.float32)
        self.centroids: list[Float32] = []
        """A level each, [symbols in use, dim]."""

    @property
    def dim(self) -> int:
        return len(self.mean)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.config.codes,) * self.config.levels

    def fit(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> None:
        """On items that were chosen before the cut alone: one that comes later is encoded, and moves no centroid."""
        vectors: Float32 = artifacts["item_vectors"]
        self.fit_vectors(vectors[rows_to_fit(interactions, vectors, "residual_kmeans")])

    def fit_vectors(self, vectors: Float32) -> None:
        """vectors [n, dim], all of which count."""
        self.mean = vectors.mean(0, dtype=np.float64).astype(np.float32)
        left = vectors - self.mean
        nothing = _NOTHING * float(np.square(left).sum(1).mean())
        self.centroids = []
        for level in range(self.config.levels):
            found = kmeans(left, self.config.codes, rng(self.seed, "residual_kmeans", level), nothing=nothing)
            self.centroids.append(found)
            left = left - found[nearest(left, found)[0]]

    def encode(self, vectors: Float32) -> Int32:
        left = vectors_of(vectors, self.dim, "residual_kmeans") - self.mean
        codes = np.zeros((len(left), self.config.levels), np.int32)
        for level, centroids in enumerate(self.centroids):
            codes[:, level] = nearest(left, centroids)[0]
            left -= centroids[codes[:, level]]
        return codes

    def decode(self, codes: Int32) -> Float32:
        """codes [n, depth], of the first levels or all: what they say of the vectors."""
        said = np.repeat(self.mean[None], len(codes), 0)
        for level in range(codes.shape[1]):
            said += self.centroids[level][codes[:, level]]
        return said

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        levels = {f"level.{level}": centroids for level, centroids in enumerate(self.centroids)}
        return {"mean": self.mean, "seed": np.array(self.seed), **levels}

    @classmethod
    def from_arrays(cls, config: ResidualKMeansConfig, arrays: Mapping[str, NDArray[Any]]) -> "ResidualKMeans":
        made = cls(config, seed=int(arrays["seed"]))
        made.mean = arrays["mean"]
        made.centroids = [arrays[f"level.{level}"] for level in range(config.levels)]
        return made
