"""Texts to vectors without a model: weighted words and word pairs, turned to the directions in which the catalogue varies most.

    x = count × (ln((1 + n) / (1 + n_with_term)) + 1), each text's x of unit length          terms: words and pairs of neighbours
    X ≈ U S Vᵀ (truncated);  vector = x V, again of unit length; zero where a text has no known term

Shapes: n texts -> [n, dim] float32; where the texts have a smaller rank than dim, the last columns are 0.
Cost: fit O(nonzeros × dim + (n + features) dim²) for each of its passes, seconds for 12,000 items on one core; a text
O(terms × dim). Terms are stored as 64-bit hashes, so that the fitted encoder is arrays alone: of 20,000 features and a million
other terms, two meet with a chance of 1e-9.
Use it on two cores, for catalogues of any one language, and as the baseline of every text model. It loses to `minilm` where other
words mean the same, and on scripts without spaces, where a whole phrase is one word.
Papers: Deerwester et al., JASIS 1990 (latent semantic indexing); Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 4.4.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from annotated_types import Gt
from numpy.typing import NDArray
from scipy import sparse

from headrace.contracts.config import as_dict, config, digest
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float32, Int64
from headrace.contracts.rng import mix, rng, stable_hash
from headrace.encode.texts import texts_of

_WORD = r"\w+"
_LONGEST = 64  # characters of a word that count: what is longer is no word
_PASSES = 5
_SPARE = 10  # directions beyond dim, which make the first dim exact


@config
class TfidfConfig:
    """features: terms that are kept, those of most texts first."""

    features: Annotated[int, Gt(0)] = 20_000
    dim: Annotated[int, Gt(0)] = 256


class Tfidf:
    """A closed-form `Encoder`: fitted once, on texts known before a cut, then frozen."""

    Config = TfidfConfig
    revision = 1

    def __init__(self, config: TfidfConfig | None = None, *, seed: int = 0):
        self.config, self.seed = config or TfidfConfig(), seed
        self.dim = self.config.dim
        self._freeze(np.zeros(0, np.uint64), np.zeros(0, np.float32), np.zeros((0, self.dim), np.float32))

    def fit(self, texts: Sequence[str], known_us: Int64, cut_us: int) -> None:
        """known_us [n]: since when each text is known. Texts of the cut and later have no part in it."""
        texts = texts_of(texts, "tfidf")
        if len(known_us) != len(texts):
            raise DataError(f"tfidf: {len(texts)} texts and {len(known_us)} times. Give each text the time it is known since.")
        before = [text for text, early in zip(texts, np.asarray(known_us) < cut_us, strict=True) if early]
        rows, found = _terms(before)
        pairs = np.unique(np.stack([found, rows.astype(np.uint64)], 1), axis=0)
        terms, texts_with = np.unique(pairs[:, 0], return_counts=True)
        kept = np.sort(np.lexsort((terms, -texts_with))[: self.config.features])
        weight = (np.log((1 + len(before)) / (1 + texts_with[kept])) + 1).astype(np.float32)
        x = _weighted(before, terms[kept], weight)
        self._freeze(terms[kept], weight, _directions(x, self.dim, rng(self.seed, "tfidf")))

    def encode(self, inputs: Sequence[Any], kind: Literal["query", "item"]) -> Float32:
        """Both kinds alike."""
        return _unit(np.asarray(self.weighted(inputs) @ self.directions))

    def weighted(self, texts: Sequence[str]) -> Any:
        """[n, features] sparse: each text's terms, of unit length, before they are turned."""
        return _weighted(texts_of(texts, "tfidf"), self.terms, self.weight)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"terms": self.terms, "weight": self.weight, "directions": self.directions, "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: TfidfConfig, arrays: Mapping[str, NDArray[Any]]) -> "Tfidf":
        made = cls(config, seed=int(arrays["seed"]))
        made._freeze(arrays["terms"], arrays["weight"], arrays["directions"])
        return made

    def _freeze(self, terms: NDArray[np.uint64], weight: Float32, directions: Float32) -> None:
        self.terms, self.weight, self.directions = terms, weight, directions
        content = sha256(b"".join(part.tobytes() for part in (terms, weight, directions))).hexdigest()
        self.fingerprint = f"tfidf/{digest([as_dict(self.config), self.revision, content])[:16]}"


def _weighted(texts: list[str], terms: NDArray[np.uint64], weight: Float32) -> Any:
    """[n, features] sparse, rows of unit length."""
    rows, found = _terms(texts)
    column = np.minimum(np.searchsorted(terms, found), max(len(terms) - 1, 0))
    known = terms[column] == found if len(terms) else np.zeros(len(found), np.bool_)
    rows, column = rows[known], column[known]
    x = sparse.csr_matrix((weight[column], (rows, column)), shape=(len(texts), len(terms)))
    length = np.sqrt(np.asarray(x.multiply(x).sum(1), np.float32)).ravel()
    x.data /= np.repeat(length, np.diff(x.indptr))
    return x


def _terms(texts: Sequence[str]) -> tuple[Int64, NDArray[np.uint64]]:
    """The text and the hash of each word and each pair of neighbours, [terms] each."""
    words = (
        pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
        .select(row=pl.int_range(pl.len()), word=pl.col("text").str.to_lowercase().str.extract_all(_WORD))
        .explode("word")
        .drop_nulls("word")
        .with_columns(pl.col("word").str.head(_LONGEST))
    )
    rows, distinct = words["row"].to_numpy(), words["word"].unique().sort()
    hashes = stable_hash(distinct.to_list())[distinct.search_sorted(words["word"]).to_numpy()]
    neighbours = rows[1:] == rows[:-1]
    pairs = mix(hashes[:-1], hashes[1:])[neighbours]
    return np.concatenate([rows, rows[1:][neighbours]]), np.concatenate([hashes, pairs])


def _directions(x: Any, dim: int, draw: np.random.Generator) -> Float32:
    """V [features, dim] of the truncated SVD of x, the sign of each direction fixed by its largest entry."""
    features = x.shape[1]
    width = min(dim + _SPARE, *x.shape)
    found = np.zeros((features, dim), np.float32)
    if not width:
        return found
    basis = draw.standard_normal((features, width)).astype(np.float32)
    for _ in range(_PASSES):
        basis, _ = np.linalg.qr(x.T @ np.linalg.qr(x @ basis)[0])
    _, _, turned = np.linalg.svd(np.linalg.qr(x @ basis)[1], full_matrices=False)
    v = (basis @ turned.T)[:, :dim]
    v *= np.where(v[np.abs(v).argmax(0), np.arange(v.shape[1])] < 0, -1, 1)
    found[:, : v.shape[1]] = v
    return found


def _unit(vectors: NDArray[Any]) -> Float32:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float32 = (vectors / np.where(length > 1e-12, length, 1)).astype(np.float32)
    return unit
