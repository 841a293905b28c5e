"""What users may want, as codes: a few interests each, made offline, with how sure their writer was of each.

    anchor a = the first codes of like items, all but the level that tells items apart: an interest, not an item
    v(a) = mean of the vectors of the items that carry these codes, at length 1; where none does, of the deepest prefix that
           some item carries (the empty one, all items, at the last)

Shapes: codes [n_users, M, L] -> vectors [n_users, M, d]. Cost: the means O(n_items (L + d L)) once, an anchor O(L + d).
`as_of_us` is the last moment whose events may have had a say: what is learned or judged at t may read them where as_of_us < t.
Paper: GPL (arXiv 2602.20995); that an anchor's vector is a mean of items is our reading: docs/papers/gpl.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float32, Int32, Int64
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.trie import Trie


@dataclass(frozen=True, eq=False)
class Anchors:
    """codes int32 [n_users, M, L], best first, -1 where a user has fewer; log_prob float32 [n_users, M], -inf there.

    Users are dense numbers, and user 0 has none. ids: fingerprint of the semantic ids they are codes of, "" where not known.
    """

    codes: Int32
    log_prob: Float32
    as_of_us: int
    ids: str = ""

    def __post_init__(self) -> None:
        if self.codes.ndim != 3 or self.log_prob.shape != self.codes.shape[:2]:
            raise DataError(
                f"anchors: codes {self.codes.shape} and log_prob {self.log_prob.shape}: expected [n_users, M, L], [n_users, M]."
            )

    def __len__(self) -> int:
        """Users."""
        return len(self.codes)

    def of(self, users: Int32, n: int) -> tuple[Int32, Float32]:
        """The first n of each: codes [R, n, L], log_prob [R, n]. A user that came since has none."""
        known = users < len(self)
        rows = np.where(known, users, 0)
        codes, log_prob = self.codes[rows, :n], self.log_prob[rows, :n]
        return np.where(known[:, None, None], codes, np.int32(-1)), np.where(known[:, None], log_prob, np.float32(-np.inf))

    def check(self, ids: SemanticIds) -> None:
        """DataError where they aren't codes of these."""
        sizes = ids.sizes[:-1]
        if self.codes.shape[2] != len(sizes):
            raise DataError(
                f"anchors: {self.codes.shape[2]} codes each, and the semantic ids have {len(sizes)} levels of meaning. "
                "They are of another catalogue, or of other codes for it: write the anchors again."
            )
        there = (self.codes >= 0).any(-1)
        wrong = np.argwhere(there & ((self.codes < 0) | (self.codes >= sizes)).any(-1))
        if len(wrong):
            user, place = wrong[0]
            raise DataError(
                f"anchors: user {user} has the anchor {self.codes[user, place].tolist()}, which is outside of {list(sizes)} "
                "symbols a level. The semantic ids don't match the catalogue that the anchors were written for: write them again."
            )
        if self.ids and self.ids != ids.fingerprint:
            raise DataError(
                f"anchors: they were written with the semantic ids {self.ids[:12]}, and these are {ids.fingerprint[:12]}. "
                "The semantic ids don't match the catalogue that the anchors were written for: write them again."
            )

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        ids = np.frombuffer(self.ids.encode(), np.uint8)
        return {"codes": self.codes, "log_prob": self.log_prob, "as_of_us": np.array(self.as_of_us, np.int64), "ids": ids}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Anchors":
        made_of = arrays["ids"].tobytes().decode()
        return cls(arrays["codes"].astype(np.int32), arrays["log_prob"].astype(np.float32), int(arrays["as_of_us"]), made_of)


class Centroids:
    """The mean vector of every prefix of a catalogue's codes. Items whose vector is all zeros say nothing of theirs."""

    def __init__(self, ids: SemanticIds, item_vectors: Float32):
        if len(ids) != len(item_vectors):
            raise DataError(
                f"anchors: semantic ids of {len(ids):,} items and vectors of {len(item_vectors):,}. The semantic ids don't match "
                "the catalogue: make the codes of the vectors that are given."
            )
        trie = Trie(ids)
        self.levels = ids.levels - 1
        self.tables = [table.numpy() for table in trie.tables[: self.levels]]
        spoken = ids.there & item_vectors.any(1)
        paths, vectors = trie.paths[spoken], item_vectors[spoken]
        means = [_means(np.zeros(len(vectors), np.int64), vectors, 1)]
        means += [_means(paths[:, level], vectors, int(trie.paths[:, level].max(initial=-1)) + 1) for level in range(self.levels)]
        self.first = np.concatenate([[0], np.cumsum([len(part) for part in means])])
        """Where each depth's prefixes begin, the empty prefix's first."""
        self.vectors = np.concatenate(means)

    def of(self, codes: Int32) -> Float32:
        """[.., L] -> [.., d], of length 1; zeros where there is no anchor."""
        flat = codes.reshape(-1, codes.shape[-1])
        node, best = np.zeros(len(flat), np.int64), np.zeros(len(flat), np.int64)
        for level, table in enumerate(self.tables):
            code = flat[:, level]
            inside = (node >= 0) & (code >= 0) & (code < table.shape[1])
            node = np.where(inside, table[np.where(inside, node, 0), np.where(inside, code, 0)], -1)
            place = self.first[level + 1] + np.maximum(node, 0)
            best = np.where((node >= 0) & self.vectors[place].any(1), place, best)
        found: Float32 = np.where((flat >= 0).any(1, keepdims=True), self.vectors[best], np.float32(0))
        return found.reshape(*codes.shape[:-1], -1)


def vectors_of(anchors: Anchors, ids: SemanticIds, item_vectors: Float32) -> Float32:
    """[n_users, M, d]: all at once; a caller of many users keeps `Centroids` and asks for a part."""
    anchors.check(ids)
    return Centroids(ids, item_vectors).of(anchors.codes)


def interests(ids: SemanticIds) -> SemanticIds:
    """Every anchor there can be, a row each and none at 0: the codes without the last level, each once."""
    rows = np.unique(ids.codes[ids.there, :-1], axis=0).reshape(-1, ids.levels - 1)
    none = np.full((1, ids.levels - 1), -1, np.int32)
    return SemanticIds(np.concatenate([none, rows]).astype(np.int32), ids.sizes[:-1], ids.items)


def unit(vectors: Float32) -> Float32:
    """At length 1, or 0."""
    length = np.sqrt(np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64))[..., None]
    found: Float32 = (vectors / np.maximum(length, 1e-12)).astype(np.float32)
    return found


def _means(nodes: Int64, vectors: Float32, count: int) -> Float32:
    """[count, d]: of the vectors of each node, at length 1; 0 where it has none."""
    order = np.argsort(nodes, kind="stable")
    used, begins = np.unique(nodes[order], return_index=True)
    found = np.zeros((count, vectors.shape[1]), np.float32)
    if len(used):
        found[used] = np.add.reduceat(vectors[order].astype(np.float64), begins, axis=0)
    return unit(found)
