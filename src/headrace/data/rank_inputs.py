"""Requests and candidates as a scorer's batch: the same function offline and online, so training and serving can't drift apart.

A scorer's schema says what it wants: "history" [rows, H] is the newest H items, any other user field is a request feature.
Of candidates: "items" [rows, candidates], and "retrieval" [rows, candidates, 3 a retriever]:
proposed or not, 1 / log2(1 + rank), and the score standardised within the request (raw scores move when it is refitted).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.contracts.batch import Batch, Field, Schema
from headrace.contracts.errors import DataError, listed
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Float32, Requests
from headrace.contracts.rng import rng

_CLIP = 4.0


def user_batch(requests: Requests, schema: Schema) -> dict[str, torch.Tensor]:
    batch = {}
    for name, field in schema.items():
        if name == "history":
            values = requests.history.last(int(field.shape[1]))
        elif name in requests.features:
            values = requests.features[name]
        else:
            raise DataError(
                f'requests carry no "{name}", which the ranker was trained on. They carry: {listed(requests.features)}.'
            )
        batch[name] = torch.from_numpy(values.astype(np.int64) if values.dtype.kind in "iu" else values)
    return batch


def candidate_batch(candidates: Candidates, stages: Sequence[str]) -> dict[str, torch.Tensor]:
    """stages: the retrievers, in the order the scorer was trained with."""
    return {
        "items": torch.from_numpy(candidates.items.astype(np.int64)),
        "retrieval": torch.from_numpy(retrieval_features(candidates, stages)),
    }


def list_schema(stages: int) -> Schema:
    """What `candidate_batch` holds for so many retrievers."""
    return {
        "items": Field("int64", ("rows", "candidates")),
        "retrieval": Field("float32", ("rows", "candidates", 3 * stages)),
    }


def retrieval_features(candidates: Candidates, stages: Sequence[str]) -> Float32:
    """[R, C, 3 × stages]."""
    features: list[NDArray[Any]] = []
    for stage in stages:
        score = candidates.scores[stage].astype(np.float64)
        there = ~np.isnan(score)
        count = np.maximum(there.sum(1, keepdims=True), 1)
        filled = np.where(there, score, 0.0)
        mean = filled.sum(1, keepdims=True) / count
        spread = np.sqrt(np.where(there, (filled - mean) ** 2, 0.0).sum(1, keepdims=True) / count)
        rank = np.argsort(np.argsort(np.where(there, -filled, np.inf), axis=1, kind="stable"), axis=1)
        standard = np.clip((filled - mean) / np.maximum(spread, 1e-9), -_CLIP, _CLIP)
        features += [there, np.where(there, 1 / np.log2(rank + 2), 0.0), np.where(there, standard, -1.0)]
    return np.stack(features, -1).astype(np.float32) if features else np.zeros((*candidates.items.shape, 0), np.float32)


class ListBatches:
    """Batches of candidate lists: every chosen candidate and a fresh draw of the others, `width` in all. Implements `Batches`."""

    def __init__(self, lists: CandidateLists, schema: Schema, stages: Sequence[str], *, width: int, batch_size: int, seed: int):
        lists = lists.take(np.flatnonzero(lists.label.sum(1) > 0))  # without a choice there is no order to learn
        self.users = user_batch(lists.requests, schema)
        self.candidates = {**candidate_batch(lists.candidates, stages), "label": torch.from_numpy(lists.label)}
        self.width, self.batch_size, self.seed = min(width, lists.label.shape[1]), batch_size, seed

    def epoch(self, epoch: int) -> "Lists":
        rows = rng(self.seed, "lists", epoch).permutation(len(self.candidates["label"]))
        return Lists(self, epoch, [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)])


class Lists(Sequence[Batch]):
    def __init__(self, source: ListBatches, epoch: int, rows: "list[np.ndarray[tuple[int], np.dtype[np.int64]]]"):
        self.source, self.number, self.rows = source, epoch, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        rows = torch.from_numpy(self.rows[index])
        label, items = self.source.candidates["label"][rows], self.source.candidates["items"][rows]
        draw = torch.from_numpy(rng(self.source.seed, "candidates", self.number, index).random(label.shape))
        kept = (label + draw).masked_fill(items == 0, -1.0).topk(self.source.width, dim=1).indices
        candidates = {
            name: torch.take_along_dim(values[rows], kept.view(*kept.shape, *([1] * (values.dim() - 2))), 1)
            for name, values in self.source.candidates.items()
        }
        return {**{name: values[rows] for name, values in self.source.users.items()}, **candidates}
