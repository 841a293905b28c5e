"""Requests and candidates as a scorer's batch: the same function offline and online, so training and serving can't drift apart.

A scorer's schema says what it wants: "history" [rows, H] is the newest H items, "history.ages" [rows, H] how long ago they were,
"users" [rows] their dense numbers (0: unknown, or unknown when the log was read), any other user field is a request feature.
Of candidates: "items" [rows, candidates], and "retrieval" [rows, candidates, 3 a retriever]:
proposed or not, 1 / log2(1 + rank), and the score standardised within the request (raw scores move when it is refitted).
Any other candidate field is a feature that the candidates carry, "pair.…" [rows, candidates].
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.contracts.batch import Batch, Field, Schema
from headrace.contracts.errors import DataError, listed
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Float32, Requests
from headrace.contracts.rng import rng

_CLIP, _HOUR_US = 4.0, 3_600_000_000
AGES = "history.ages"
"""A user field: how long ago the events of "history" were."""
USERS = "users"
"""A user field: who asks, for scorers that keep something of each user."""
Arrays = dict[str, NDArray[Any]]
LABEL_OF = "label."
"""What stands before a task's name in a batch."""


def user_batch(requests: Requests, schema: Schema) -> dict[str, torch.Tensor]:
    return _tensors(user_arrays(requests, schema))


def user_arrays(requests: Requests, schema: Schema) -> Arrays:
    """What `user_batch` is made of, for whoever needs no tensors."""
    found: Arrays = {}
    for name, field in schema.items():
        values: NDArray[Any]
        if name == "history":
            values = requests.history.last(int(field.shape[1]))
        elif name == AGES:
            values = ages(requests, int(field.shape[1]))
        elif name == USERS:
            values = requests.users
        elif name in requests.features:
            values = requests.features[name]
        else:
            raise DataError(
                f'requests carry no "{name}", which the ranker was trained on. They carry: {listed(requests.features)}.'
            )
        found[name] = _wide(values)
    return found


def ages(requests: Requests, k: int) -> Float32:
    """[R, k]: log(1 + hours) from each of the newest k events to its request, 0 behind them."""
    past_us = requests.history.last_at_us(k)
    hours = (requests.at_us[:, None] - past_us) / _HOUR_US
    there = np.arange(k) < requests.history.lengths[:, None]
    found: Float32 = np.where(there, np.log1p(np.maximum(hours, 0)), 0).astype(np.float32)
    return found


def candidate_batch(candidates: Candidates, stages: Sequence[str], pairs: Iterable[str] = ()) -> dict[str, torch.Tensor]:
    """stages: the retrievers, in the order the scorer was trained with. pairs: names of the features that it reads."""
    return _tensors(candidate_arrays(candidates, stages, pairs))


def candidate_arrays(candidates: Candidates, stages: Sequence[str], pairs: Iterable[str] = ()) -> Arrays:
    found: Arrays = {"items": _wide(candidates.items), "retrieval": retrieval_features(candidates, stages)}
    for name in pairs:
        if name not in candidates.features:
            raise DataError(
                f'candidates carry no "{name}", which the ranker was trained on. They carry: {listed(candidates.features)}.'
            )
        found[name] = _wide(candidates.features[name])
    return found


def list_schema(stages: int, pairs: Iterable[str] = ()) -> Schema:
    """What `candidate_batch` holds for so many retrievers and these features."""
    return {
        "items": Field("int64", ("rows", "candidates")),
        "retrieval": Field("float32", ("rows", "candidates", 3 * stages)),
        **{name: Field("int64", ("rows", "candidates")) for name in pairs},
    }


def pairs_in(schema: Schema) -> list[str]:
    """The features of candidates among the fields of a candidate schema."""
    return [name for name in schema if name not in ("items", "retrieval")]


def _wide(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int64) if values.dtype.kind in "iu" else values


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def retrieval_features(candidates: Candidates, stages: Sequence[str]) -> Float32:
    """[R, C, 3 × stages]."""
    if not stages:
        return np.zeros((*candidates.items.shape, 0), np.float32)
    # All stages at once, [R, stages, C]: one request's arrays are so small that the number of steps is what they cost.
    score = np.stack([candidates.scores[stage] for stage in stages], 1).astype(np.float64)
    there = ~np.isnan(score)
    count = np.maximum(np.add.reduce(there, -1, keepdims=True, dtype=np.int64), 1)
    filled = np.where(there, score, 0.0)
    away = filled - np.add.reduce(filled, -1, keepdims=True) / count
    spread = np.sqrt(np.add.reduce(np.where(there, away**2, 0.0), -1, keepdims=True) / count)
    order = np.argsort(np.where(there, -filled, np.inf), axis=-1, kind="stable")
    gain = np.empty(score.shape)
    np.put_along_axis(gain, order, np.broadcast_to(_gains(score.shape[-1]), score.shape), -1)
    standard = np.minimum(np.maximum(away / np.maximum(spread, 1e-9), -_CLIP), _CLIP)
    features = np.empty((*candidates.items.shape, len(stages), 3), np.float32)
    of_stage = features.transpose(0, 2, 1, 3)
    of_stage[..., 0], of_stage[..., 1], of_stage[..., 2] = there, np.where(there, gain, 0.0), np.where(there, standard, -1.0)
    return features.reshape(*candidates.items.shape, 3 * len(stages))


@lru_cache(maxsize=256)
def _gains(width: int) -> NDArray[np.float64]:
    """By rank from 0."""
    return 1 / np.log2(np.arange(width) + 2)


class ListBatches:
    """Batches of candidate lists: every chosen candidate and a fresh draw of the others, `width` in all. Implements `Batches`.

    pairs: features of the candidates that are read. whole: every list as it is, with all its candidates, those of which nothing
    was chosen too: a share drawn of what was not chosen would make a choice look likelier than it was.
    unshown: candidates a request with a pseudo-label, drawn afresh each epoch, beside those whose labels are known.

    A batch has the scorer's fields, "label" and, of lists with several tasks, "label.NAME" (NaN: not known); of lists with
    pseudo-labels also "known", "pseudo" and "pseudo_weight". All [rows, candidates].
    """

    def __init__(
        self, lists: CandidateLists, schema: Schema, stages: Sequence[str], *,
        pairs: Iterable[str] = (), width: int, batch_size: int, seed: int, whole: bool = False, unshown: int = 0,
    ):  # fmt: skip
        if not whole:
            lists = lists.take(np.flatnonzero(lists.label.sum(1) > 0))  # without a choice there is no order to learn
        self.users = user_batch(lists.requests, schema)
        self.candidates = {**candidate_batch(lists.candidates, stages, pairs), "label": torch.from_numpy(lists.label)}
        self.candidates |= {LABEL_OF + name: torch.from_numpy(label) for name, label in lists.tasks.items()}
        self.first = self.candidates["label"]
        longest = lists.label.shape[1]
        if lists.known is not None:  # the others have had their say in what the retrievers said of these
            known = torch.from_numpy(lists.known & lists.candidates.there)
            longest = max(int(known.sum(1).max().item()) if len(known) else 0, 1)
            kept = known
            if lists.pseudo is not None and unshown:
                weight = torch.from_numpy(lists.pseudo.weight).masked_fill(known | (self.candidates["items"] == 0), 0.0)
                self.candidates |= {"known": known, "pseudo": torch.from_numpy(lists.pseudo.label), "pseudo_weight": weight}
                self.first, kept = known.float(), known | (weight > 0)
                longest = min(longest + unshown, max(int(kept.sum(1).max().item()) if len(kept) else 0, 1))
            self.candidates["items"] = self.candidates["items"].masked_fill(~kept, 0)
        self.width, self.batch_size, self.seed = longest if whole else min(width, longest), batch_size, seed

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
        first, items = self.source.first[rows], self.source.candidates["items"][rows]
        draw = torch.from_numpy(rng(self.source.seed, "candidates", self.number, index).random(first.shape))
        kept = (first + draw).masked_fill(items == 0, -1.0).topk(self.source.width, dim=1).indices
        candidates = {
            name: torch.take_along_dim(values[rows], kept.view(*kept.shape, *([1] * (values.dim() - 2))), 1)
            for name, values in self.source.candidates.items()
        }
        return {**{name: values[rows] for name, values in self.source.users.items()}, **candidates}
