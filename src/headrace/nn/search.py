"""Which k events of a long history a candidate reads: those of most score, the newest first where scores are equal.

    places = the k largest of score(q, e_t) over t that are there,   read = e at these places

torch's own `topk` leaves ties to chance, and a history is full of them: an item had twice, a category, a distance in bits. So a
score that is a whole number becomes a key without ties, score T + place, exact below 2^24 / T in float32, 2^53 / T in float64. A
matrix product rounds one row this way and its twin that way, by where they stand; the products of `whole` numbers are exact.

Shapes: scores [R, C, T], oldest first as histories are; places [R, C, k]; read [R, C, k, D]. Cost O(R C T) keys and a partial
sort, O(R C k D) of reading; [R, C, T, D] is never made, nor in the backward pass, which adds into [R, T, D].
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

COUNTS_BELOW = 2**24
"""Largest score times length of the history, in float32."""
_GRID, _WITHIN = 2.0**12, 8.0


class Found(NamedTuple):
    """places [R, C, k] in the history; there [R, C, k]: fewer than k may have been found."""

    places: Tensor
    there: Tensor


def best(scores: Tensor, there: Tensor, k: int) -> Found:
    """scores [R, C, T]: whole numbers; there [R, T] or [R, C, T]: which may be found."""
    length = scores.shape[-1]
    newer = torch.arange(length, dtype=scores.dtype, device=scores.device)
    return largest(scores.detach() * float(length) + newer, there, k)


def largest(keys: Tensor, there: Tensor, k: int) -> Found:
    """As `best`, where no two keys are equal, or where it has no say which of the equal ones are found."""
    may = there.unsqueeze(1) if there.dim() < keys.dim() else there
    found = keys.masked_fill(~may, -torch.inf).topk(min(k, keys.shape[-1]), dim=-1)
    return Found(found.indices, found.values > -torch.inf)


def whole(values: Tensor) -> Tensor:
    """Embeddings in steps of 2^-12, within ±8, as whole numbers."""
    return (values.detach().clamp(-_WITHIN, _WITHIN) * _GRID).round()


def products(target: Tensor, past: Tensor) -> Tensor:
    """[R, C, E] and [R, T, E] of `whole` numbers -> whole numbers [R, C, T] for `best`, exact where E T is below 2^23."""
    return target.double() @ past.double().transpose(1, 2)


def read_at(values: Tensor, places: Tensor) -> Tensor:
    """values [R, T, D], places [R, C, k] -> [R, C, k, D]."""
    rows, length = values.shape[:2]
    first = torch.arange(rows, device=places.device).view(-1, 1, 1) * length
    return embedding(places + first, values.flatten(0, 1))
