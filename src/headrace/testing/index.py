"""What every vector index promises: the nearest that are there and allowed, best first, whatever was stored before."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Float32, Int32
from headrace.contracts.rng import rng
from headrace.encode.index import VectorIndex
from headrace.testing.expect import expect, expect_close, expect_equal

_DIM, _K = 8, 5


def check_index(make_index: Callable[[int], VectorIndex], *, recall: float = 1.0) -> None:
    """make_index: an empty index of a dim. recall: share of the true k nearest that must be found, on 60 vectors."""
    index = make_index(_DIM)
    expect(isinstance(index, VectorIndex), f"{type(index).__name__} lacks a part of VectorIndex.")
    queries = _unit(rng(0, "queries").normal(size=(9, _DIM)))
    ids, scores = index.search(queries, _K)
    expect(not ids.any() and np.isnan(scores).all() and ids.shape == (9, _K), "An empty index finds something.")

    stored = dict(zip(range(1, 61), _unit(rng(0, "stored").normal(size=(60, _DIM))), strict=True))
    _upsert(index, stored, recall, queries)
    _copies(index, queries)
    _alone(index, queries)
    _filters(index, stored, recall, queries)
    _replaces(index, stored, recall, queries)
    _deletes(index, stored, recall, queries)
    _saves(index, stored, recall, queries)
    _refuses(index, queries)


def _upsert(index: VectorIndex, stored: dict[int, Float32], recall: float, queries: Float32) -> None:
    order = rng(0, "order").permutation(list(stored)).astype(np.int32)
    for part in (order[:40], order[40:], order[:0]):
        index.upsert(part, np.array([stored[i] for i in part.tolist()], np.float32).reshape(-1, _DIM))
    _right(index, stored, recall, queries, None, "after upsert")


def _copies(index: VectorIndex, queries: Float32) -> None:
    ids, vectors = np.array([61], np.int32), _unit(np.ones((1, _DIM)))
    index.upsert(ids, vectors)
    before = index.search(queries, _K)[1]
    vectors *= 0
    expect_equal(index.search(queries, _K)[1], before, "An index keeps the caller's own array")
    index.delete(ids)


def _alone(index: VectorIndex, queries: Float32) -> None:
    together = index.search(queries, _K)
    for row in range(len(queries)):
        ids, scores = index.search(queries[row : row + 1], _K)
        expect_equal(ids[0], together[0][row], f"Query {row} asked alone finds others")
        expect_close(scores[0], together[1][row], f"Query {row} asked alone scores otherwise")
    expect(index.search(queries[:0], _K)[0].shape == (0, _K), f"No query is answered with other than shape (0, {_K}).")


def _filters(index: VectorIndex, stored: dict[int, Float32], recall: float, queries: Float32) -> None:
    for what, allowed in {
        "two in three allowed": np.arange(61) % 3 > 0,
        "few allowed": np.isin(np.arange(61), (3, 50)),
        "a mask that ends early": np.ones(30, np.bool_),
        "a mask beyond the ids": np.ones(90, np.bool_),
        "none allowed": np.zeros(61, np.bool_),
    }.items():
        given = allowed.copy()
        index.search(queries, _K, allowed)
        expect_equal(allowed, given, "search changes the mask it is given")
        _right(index, stored, recall, queries, allowed, f"with {what}")


def _replaces(index: VectorIndex, stored: dict[int, Float32], recall: float, queries: Float32) -> None:
    new = np.array([7, 8, 9], np.int32)
    vectors = queries[:3].copy()
    index.upsert(new, vectors)
    stored |= dict(zip(new.tolist(), vectors, strict=True))
    _right(index, stored, recall, queries, None, "after an upsert of ids that were there")
    expect_equal(index.search(queries[:3], 1)[0][:, 0], new, "A vector that was replaced is not its own nearest")


def _deletes(index: VectorIndex, stored: dict[int, Float32], recall: float, queries: Float32) -> None:
    for part in ([7, 8], [8, 1000], list(range(20, 60))):  # some twice, one unknown, most of them
        index.delete(np.array(part, np.int32))
        for number in part:
            stored.pop(number, None)
        _right(index, stored, recall, queries, None, "after delete")
    index.upsert(np.array([8], np.int32), queries[:1])
    stored[8] = queries[0]
    _right(index, stored, recall, queries, None, "after an upsert of a deleted id")


def _saves(index: VectorIndex, stored: dict[int, Float32], recall: float, queries: Float32) -> None:
    with TemporaryDirectory() as folder:
        index.save(Path(folder))
        read = type(index).load(Path(folder))
    _right(read, stored, recall, queries, None, "read back")
    _right(read, stored, recall, queries, np.arange(61) % 2 > 0, "read back, half of them allowed")
    read.delete(np.array([8], np.int32))
    _right(read, {number: one for number, one in stored.items() if number != 8}, recall, queries, None, "read back, then deleted")
    _right(index, stored, recall, queries, None, "after save")


def _refuses(index: VectorIndex, queries: Float32) -> None:
    one = np.array([1], np.int32)
    wrong: dict[str, Callable[[], Any]] = {
        "id 0, which is none": lambda: index.upsert(np.zeros(1, np.int32), queries[:1]),
        "an id twice": lambda: index.upsert(np.array([1, 1], np.int32), queries[:2]),
        "more ids than vectors": lambda: index.upsert(np.array([1, 2], np.int32), queries[:1]),
        "a vector with NaN": lambda: index.upsert(one, queries[:1] * np.nan),
        "a vector of another dim": lambda: index.upsert(one, queries[:1, 1:]),
        "a query of another dim": lambda: index.search(queries[:, 1:], _K),
    }
    for what, work in wrong.items():
        try:
            work()
        except DataError:
            continue
        raise AssertionError(f"The index takes {what}: expected a DataError.")


def _right(
    index: VectorIndex, stored: dict[int, Float32], recall: float, queries: Float32, allowed: Bool | None, when: str
) -> None:
    """Held to a dictionary and a sort."""
    expect(len(index) == len(stored), f"{when}: the index has {len(index)} vectors, expected {len(stored)}.")
    may = np.array([i for i in sorted(stored) if allowed is None or (i < len(allowed) and allowed[i])], np.int32)
    for k in (_K, 70):
        ids, scores = index.search(queries, k, allowed)
        _well_formed(ids, scores, len(queries), k, when)
        strangers = set(ids[ids > 0].tolist()) - set(may.tolist())
        expect(not strangers, f"{when}: finds {sorted(strangers)}, which are deleted, not allowed or never stored.")
        if not len(may):
            expect(not ids.any(), f"{when}: finds {ids.max()} where there is nothing to find.")
            continue
        products = queries @ np.array([stored[i] for i in may.tolist()]).T
        where = np.searchsorted(may, np.maximum(ids, may[0]))
        expect_close(
            np.where(ids > 0, scores, 0),
            np.where(ids > 0, np.take_along_axis(products, where, 1), 0),
            f"{when}: a score is not the inner product",
        )
        wanted = np.argsort(-products, axis=1)[:, :k]
        hits = sum(len(np.intersect1d(may[row], found)) for row, found in zip(wanted, ids, strict=True))
        expect(hits >= recall * wanted.size, f"{when}: finds {hits} of the {wanted.size} nearest, expected {recall:.0%}.")


def _well_formed(ids: Int32, scores: Float32, rows: int, k: int, when: str) -> None:
    expect(ids.dtype == np.int32 and scores.dtype == np.float32, f"{when}: {ids.dtype}, {scores.dtype}: expected int32, float32.")
    expect(ids.shape == scores.shape == (rows, k), f"{when}: shapes {ids.shape} and {scores.shape}, expected ({rows}, {k}).")
    expect((np.isnan(scores) == (ids == 0)).all(), f"{when}: a score is NaN exactly where there is no id.")
    filled = np.where(ids > 0, scores, -np.inf)
    expect((filled[:, :-1] >= filled[:, 1:]).all(), f"{when}: not best first.")
    for row in ids:
        found = row[row > 0]
        expect(len(np.unique(found)) == len(found), f"{when}: an id is found twice: {row.tolist()}.")


def _unit(vectors: Any) -> Float32:
    unit: Float32 = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
