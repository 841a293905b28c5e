"""What there is to say of codes before any model reads them, and how far they have moved since a fit before.

    perplexity = exp(H(usage)): so many symbols, used alike, would be as hard to foresee
    cosine at depth d: of two items that share their first d codes, drawn at random; it must rise with d, or codes mean nothing
    moved at depth d: the share of items whose first d codes are others than before
    rand, mutual: how alike the two fits group the items at depth d, whatever the groups are called. 1: the same groups; for rand,
    0 is chance. mutual (by the mean entropy) is not free of chance: with groups of few items it is high for any two fits.

The last level, which tells equal codes apart, means nothing and has no part in any of it. Cost O(n log n) a depth.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headrace.contracts.requests import Float32, Float64, Int32, Int64
from headrace.contracts.rng import rng
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.quantiser import Quantiser

_PAIRS = 20_000


@dataclass(frozen=True)
class Level:
    """of: symbols. entropy: of their usage, in nats."""

    of: int
    used: int
    entropy: float

    @property
    def perplexity(self) -> float:
        return float(np.exp(self.entropy))


@dataclass(frozen=True)
class Measured:
    """shared: of items, those whose codes, but for the last, another has too. error, cosine: by depth, from 0; NaN: no pair."""

    items: int
    with_codes: int
    levels: tuple[Level, ...]
    shared: float
    most_on_a_code: int
    last_level: int
    error: tuple[float, ...]
    cosine: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        found = {**asdict(self), "levels": [{**asdict(level), "perplexity": level.perplexity} for level in self.levels]}
        return found | {"cosine": [None if np.isnan(value) else value for value in self.cosine]}


@dataclass(frozen=True)
class Drift:
    """At one depth, over the n items that both fits have codes for."""

    depth: int
    moved: float
    rand: float
    mutual: float


def measured(ids: SemanticIds, quantiser: Quantiser, vectors: Float32, *, seed: int = 0) -> Measured:
    """vectors [n_items, dim]: those the codes are of. error: the mean square of what codes do not say of an entry."""
    codes, said = ids.codes[ids.there, :-1], vectors[ids.there]
    levels = tuple(_level(codes[:, level], ids.sizes[level]) for level in range(codes.shape[1]))
    _, counts = np.unique(codes, axis=0, return_counts=True)
    depths = range(codes.shape[1] + 1)
    return Measured(
        items=len(ids) - 1,
        with_codes=len(codes),
        levels=levels,
        shared=float(counts[counts > 1].sum() / max(len(codes), 1)),
        most_on_a_code=int(counts.max(initial=0)),
        last_level=ids.sizes[-1],
        error=tuple(float(np.square(said - quantiser.decode(codes[:, :depth])).mean()) for depth in depths),
        cosine=tuple(_cosine(groups(codes[:, :depth]), said, rng(seed, "within a prefix", depth)) for depth in depths),
    )


def drift(now: SemanticIds, then: SemanticIds, rows: Mapping[int, int] | None = None) -> list[Drift]:
    """rows: item number now -> then; left out: they are the same."""
    mine = np.arange(min(len(now), len(then))) if rows is None else np.array(list(rows), np.int64)
    theirs = mine if rows is None else np.array(list(rows.values()), np.int64)
    both = now.there[mine] & then.there[theirs]
    a, b = now.codes[mine[both], :-1], then.codes[theirs[both], :-1]
    found = []
    for depth in range(1, min(a.shape[1], b.shape[1]) + 1):
        moved = float((a[:, :depth] != b[:, :depth]).any(1).mean()) if len(a) else 0.0
        found.append(Drift(depth, moved, *alike(groups(a[:, :depth]), groups(b[:, :depth]))))
    return found


def alike(one: Int64, other: Int64) -> tuple[float, float]:
    """Adjusted Rand index and normalised mutual information of two groupings [n]."""
    n = len(one)
    cell = np.unique(np.stack([one, other], 1), axis=0, return_counts=True)[1] if n else np.zeros(0, np.int64)
    rows, columns = np.bincount(one), np.bincount(other)
    together, expected = _pairs(cell), _pairs(rows) * _pairs(columns) / max(_pairs(np.array([n])), 1)
    most = (_pairs(rows) + _pairs(columns)) / 2
    rand = 1.0 if most == expected else (together - expected) / (most - expected)
    mean = (_entropy(rows) + _entropy(columns)) / 2
    mutual = 1.0 if mean == 0 else (_entropy(rows) + _entropy(columns) - _entropy(cell)) / mean
    return float(rand), float(mutual)


def groups(codes: Int32) -> Int64:
    """[n, depth] -> [n]: which prefix; at depth 0 all are one."""
    if not codes.shape[1]:
        return np.zeros(len(codes), np.int64)
    return np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _level(codes: Int32, of: int) -> Level:
    usage = np.bincount(codes, minlength=of)
    return Level(of, int((usage > 0).sum()), _entropy(usage))


def _entropy(counts: Int64) -> float:
    share: Float64 = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(share * np.log(share)).sum()) + 0.0


def _pairs(counts: Int64) -> float:
    """In floats: the products of two such do not fit 64 bits."""
    sizes = counts.astype(np.float64)
    return float((sizes * (sizes - 1) / 2).sum())


def _cosine(group: Int64, vectors: Float32, draw: np.random.Generator) -> float:
    """Of pairs of two items of one group: the first drawn among all that have company, the second among its company."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max(initial=-1) + 2))
    sizes = np.diff(starts)
    accompanied = np.flatnonzero(sizes[group[order]] > 1)
    if not len(accompanied):
        return float("nan")
    first = accompanied[draw.integers(len(accompanied), size=_PAIRS)]
    start, size = starts[group[order[first]]], sizes[group[order[first]]]
    second = start + (first - start + 1 + draw.integers(0, size - 1)) % size
    a, b = vectors[order[first]], vectors[order[second]]
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-12)).mean())
