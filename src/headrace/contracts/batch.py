"""A batch is a flat mapping from name to tensor; its schema names every tensor, so a model's inputs export as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.contracts.errors import DataError, listed, nearest

if TYPE_CHECKING:
    from torch import Tensor

Batch = Mapping[str, "Tensor"]


@dataclass(frozen=True)
class Field:
    """shape: a number for a fixed size, a name for one shared by all fields that use it: ("rows", "candidates", 3)."""

    dtype: str
    shape: tuple[str | int, ...]


Schema = Mapping[str, Field]


def check_batch(batch: Batch, schema: Schema) -> dict[str, int]:
    """The size behind each shape name; DataError when a tensor is missing, unknown or of another type or shape."""
    for name in schema.keys() - batch.keys():
        raise DataError(f'batch: "{name}" is missing.{nearest(name, batch)} The batch has: {listed(batch)}.')
    for name in batch.keys() - schema.keys():
        raise DataError(f'batch: "{name}" is not in the schema.{nearest(name, schema)} The schema has: {listed(schema)}.')
    sizes: dict[str, int] = {}
    for name, field in schema.items():
        tensor = batch[name]
        dtype = str(tensor.dtype).removeprefix("torch.")
        fits = len(tensor.shape) == len(field.shape) and all(
            size == (axis if isinstance(axis, int) else sizes.setdefault(axis, size))
            for axis, size in zip(field.shape, tensor.shape, strict=True)
        )
        if dtype != field.dtype or not fits:
            raise DataError(
                f'batch: "{name}" is {dtype} {tuple(tensor.shape)}, expected {field.dtype} {field.shape} with {sizes}.'
            )
    return sizes
