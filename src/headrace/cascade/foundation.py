"""What an upstream model knows of users and items, as a folder that travels without the upstream's log.

    schema.json          format, made_of, trained_until_us, fields {name: [kind, codes]}, user_parts, item_parts {name: width},
                         settings (below), users, items (how many ids), arrays {name: [dtype, shape]}
    arrays.safetensors   users.offsets, users.at_us, users.values, items.offsets, items.at_us, items.values, block.NAME
    user_ids.parquet     one column, id: the user of number 1, 2, ..; number 0 is nobody
    item_ids.parquet     the same of items

settings: tasks [names, the main one first], layer ("CR3"), layers {name: {log_loss, auc, behind, behind_se}} and probed (both
empty where the layer was named), decay {by, per_sample, half_life_days}, block {width, crosses, hidden} (an `InteractionBlock` of
these takes the arrays block.NAME as its state), ranker (the upstream's own settings). Users without a state are not named.
Nothing that is read is run: no pickle.
Cost: reading loads every array and looks at each value once.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.atomic import writing
from headrace.contracts.errors import ArtifactError
from headrace.data.foundation import Foundation, States

FORMAT = "headrace foundation 1"
SCHEMA, ARRAYS, IDS = "schema.json", "arrays.safetensors", {"users": "user_ids.parquet", "items": "item_ids.parquet"}
_SIDES = ("users", "items")
_BLOCK = "block."
_DTYPES = {"offsets": "int64", "at_us": "int64", "values": "float32"}


class Read(NamedTuple):
    """foundation: in numbers of its own, the id at place i having number i + 1. schema: schema.json as it stands."""

    foundation: Foundation
    user_ids: pl.Series
    item_ids: pl.Series
    schema: dict[str, Any]


def write_foundation(folder: Path, foundation: Foundation, user_ids: pl.Series, item_ids: pl.Series) -> None:
    """Whole or not at all. A folder that is there is replaced where it is such a one or empty, and left alone otherwise.

    foundation: in the numbers of the ids, as `read_foundation` gives it back.
    """
    check_place(folder)
    ids = {"users": user_ids, "items": item_ids}
    arrays = _arrays(foundation)
    schema = {
        "format": FORMAT, "made_of": foundation.made_of, "trained_until_us": foundation.trained_until_us,
        "fields": {name: list(field) for name, field in foundation.fields.items()},
        "user_parts": dict(foundation.user_parts), "item_parts": dict(foundation.item_parts),
        "settings": dict(foundation.settings), **{side: len(ids[side]) for side in _SIDES},
        "arrays": {name: [str(values.dtype), list(values.shape)] for name, values in arrays.items()},
    }  # fmt: skip
    beside, old = (folder.with_name(f".{folder.name}-{os.getpid()}{what}") for what in ("", "-old"))
    with writing(folder):
        try:
            beside.mkdir(parents=True)
            save_arrays(beside / ARRAYS, arrays)
            for side in _SIDES:
                pl.DataFrame({"id": ids[side].cast(pl.String)}).write_parquet(beside / IDS[side])
            (beside / SCHEMA).write_text(json.dumps(schema, indent=1))
            if folder.exists():
                os.rename(folder, old)
            os.rename(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def read_foundation(folder: Path) -> Read:
    """ArtifactError that names what is missing or is not as schema.json says."""
    schema = _schema(folder)
    arrays = load_arrays(_there(folder, ARRAYS))
    _check_arrays(folder / ARRAYS, arrays, schema)
    ids = {side: _ids(_there(folder, name), schema[side]) for side, name in IDS.items()}
    users, items = (_states(folder / ARRAYS, arrays, schema, side) for side in _SIDES)
    block = {name.removeprefix(_BLOCK): values for name, values in arrays.items() if name.startswith(_BLOCK)}
    fields = {name: (kind, codes) for name, (kind, codes) in schema["fields"].items()}
    found = Foundation(
        users, items, schema["user_parts"], schema["item_parts"], fields, block, schema["settings"],
        schema["trained_until_us"], schema["made_of"],
    )  # fmt: skip
    return Read(found, ids["users"], ids["items"], schema)


def check_place(folder: Path) -> None:
    """ArtifactError where something else is there: nothing of anybody's is written over."""
    if folder.is_dir() and (not any(folder.iterdir()) or _is_one(folder)):
        return
    if folder.exists():
        raise ArtifactError(f"{folder}: something is there that is no foundation. Choose another folder with --out.")


def _is_one(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / SCHEMA).read_text())["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _arrays(foundation: Foundation) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for side, states in zip(_SIDES, (foundation.users, foundation.items), strict=True):
        arrays |= {f"{side}.{name}": np.asarray(getattr(states, name), dtype) for name, dtype in _DTYPES.items()}
    return arrays | {_BLOCK + name: np.asarray(values) for name, values in foundation.block.items()}


def _there(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{path}: is missing. A foundation is made by: headrace foundation RUN --out {folder}.")
    return path


def _schema(folder: Path) -> dict[str, Any]:
    path = _there(folder, SCHEMA)
    try:
        schema = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: can't be read as JSON ({error}). Make the foundation again.") from None
    if not isinstance(schema, dict) or schema.get("format") != FORMAT:
        found = schema.get("format") if isinstance(schema, dict) else type(schema).__name__
        raise ArtifactError(f'{path}: format is {found!r}, expected "{FORMAT}". Make the foundation again with this version.')
    _check_schema(path, schema)
    return schema


def _check_schema(path: Path, schema: Mapping[str, Any]) -> None:
    kinds: dict[str, type] = {
        "made_of": str, "trained_until_us": int, "fields": dict, "user_parts": dict, "item_parts": dict, "settings": dict,
        "users": int, "items": int, "arrays": dict,
    }  # fmt: skip
    for name, kind in kinds.items():
        if type(schema.get(name)) is not kind:
            raise _wrong(path, name, f"is {schema.get(name)!r}, expected {kind.__name__}")
    for name in ("user_parts", "item_parts"):
        for part, width in schema[name].items():
            if type(width) is not int or width < 1:
                raise _wrong(path, f"{name}.{part}", f"is {width!r}, expected a width of 1 or more")
    for group, kinds_of_pair in (("fields", (str, int)), ("arrays", (str, list))):
        for name, pair in schema[group].items():
            if not isinstance(pair, list) or tuple(map(type, pair)) != kinds_of_pair:
                raise _wrong(path, f"{group}.{name}", f"is {pair!r}, expected [{', '.join(k.__name__ for k in kinds_of_pair)}]")


def _check_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], schema: Mapping[str, Any]) -> None:
    said = schema["arrays"]
    wanted = {f"{side}.{name}" for side in _SIDES for name in _DTYPES}
    for name in sorted(wanted | said.keys() | arrays.keys()):
        if name not in said or name not in arrays:
            raise _wrong(path, name, "is missing" if name not in arrays else "is not in schema.json")
        dtype, shape = said[name]
        values = arrays[name]
        if str(values.dtype) != dtype or list(values.shape) != shape:
            raise _wrong(path, name, f"is {values.dtype} {list(values.shape)}, and schema.json says {dtype} {shape}")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise _wrong(path, name, "has values that are not finite")


def _states(path: Path, arrays: Mapping[str, NDArray[Any]], schema: Mapping[str, Any], side: str) -> States:
    offsets, at_us, values = (arrays[f"{side}.{name}"] for name in _DTYPES)
    for name, dtype in _DTYPES.items():
        if str(arrays[f"{side}.{name}"].dtype) != dtype:
            raise _wrong(path, f"{side}.{name}", f"is {arrays[f'{side}.{name}'].dtype}, expected {dtype}")
    width, number = sum(schema[f"{side[:-1]}_parts"].values()), schema[side]
    if values.shape != (len(at_us), width):
        raise _wrong(path, f"{side}.values", f"is {list(values.shape)}, expected {[len(at_us), width]}")
    if offsets.shape != (number + 2,) or offsets[0] != 0 or offsets[-1] != len(at_us) or (np.diff(offsets) < 0).any():
        raise _wrong(path, f"{side}.offsets", f"does not cut {len(at_us):,} states into {number:,} {side} and nobody")
    falls = np.flatnonzero(at_us[1:] < at_us[:-1]) + 1
    if not np.isin(falls, offsets).all():
        raise _wrong(path, f"{side}.at_us", "is not in the order of time")
    return States(offsets, at_us, values)


def _ids(path: Path, number: int) -> pl.Series:
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ArtifactError(f"{path}: can't be read as Parquet ({error}). Make the foundation again.") from None
    if table.schema != {"id": pl.String}:
        raise _wrong(path, "id", f"is not its one column, of text: it has {dict(table.schema)}")
    ids = table["id"]
    if len(ids) != number:
        raise _wrong(path, "id", f"has {len(ids):,} rows, and schema.json says {number:,}")
    if ids.null_count() or ids.n_unique() != len(ids):
        raise _wrong(path, "id", "is not unique, or has nulls")
    return ids


def _wrong(path: Path, name: str, what: str) -> ArtifactError:
    return ArtifactError(f"{path}: {name} {what}. Make the foundation again, or take a copy that is whole.")
