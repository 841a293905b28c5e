"""The folder of a foundation: what is written comes back, and what is wrong is named."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from torch.testing import assert_close

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.cascade.foundation import ARRAYS, SCHEMA, read_foundation, write_foundation
from headrace.contracts.errors import ArtifactError
from headrace.data.foundation import Foundation, States

USERS, ITEMS = pl.Series(["ann", "bo"]), pl.Series(["sock", "hat", "pan"])


def some() -> Foundation:
    draw = np.random.default_rng(0)
    users = States(np.array([0, 0, 2, 3]), np.array([10, 20, 5]), draw.normal(size=(3, 5)).astype(np.float32))
    items = States(
        np.array([0, 0, 2, 2, 3]), np.array([np.iinfo(np.int64).min, 1, 1]), draw.normal(size=(3, 4)).astype(np.float32)
    )
    fields = {"user.age": ("category", 7), "item.categories": ("bag", 5)}
    settings = {"tasks": ["click", "buy"], "layer": "CR1", "layers": {}, "block": {"width": 4, "crosses": 1, "hidden": [3]}}
    block = {"crosses.0.weight": np.eye(4, dtype=np.float32)}
    return Foundation(users, items, {"UR": 2, "CR": 3}, {"IR": 1, "CR": 3}, fields, block, settings, 99, "abc")


def written(tmp_path: Path) -> Path:
    write_foundation(tmp_path / "known", some(), USERS, ITEMS)
    return tmp_path / "known"


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    found, users, items, schema = read_foundation(written(tmp_path))
    wanted = some()
    assert users.to_list() == USERS.to_list()
    assert items.to_list() == ITEMS.to_list()
    assert (found.fields, found.settings, found.user_parts, found.item_parts) == (
        wanted.fields, wanted.settings, wanted.user_parts, wanted.item_parts,
    )  # fmt: skip
    assert (found.trained_until_us, found.made_of, schema["arrays"]["users.values"]) == (99, "abc", ["float32", [3, 5]])
    for side in ("users", "items"):
        for name in ("offsets", "at_us", "values"):
            np.testing.assert_array_equal(getattr(getattr(found, side), name), getattr(getattr(wanted, side), name))
    assert_close(found.block["crosses.0.weight"], wanted.block["crosses.0.weight"])
    assert [path.name for path in tmp_path.iterdir()] == ["known"]


def test_one_of_its_own_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = written(tmp_path)
    write_foundation(folder, some(), USERS.reverse(), ITEMS)
    assert read_foundation(folder).user_ids.to_list() == ["bo", "ann"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(ArtifactError, match="no foundation"):
        write_foundation(tmp_path / "mine", some(), USERS, ITEMS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known", "mine"]


def change(folder: Path, **values: object) -> None:
    schema = json.loads((folder / SCHEMA).read_text())
    (folder / SCHEMA).write_text(json.dumps(schema | values))


def rewrite(folder: Path, name: str, values: np.ndarray) -> None:
    """An array, and what schema.json says of it."""
    arrays = load_arrays(folder / ARRAYS) | {name: values}
    save_arrays(folder / ARRAYS, arrays)
    change(folder, arrays={one: [str(v.dtype), list(v.shape)] for one, v in arrays.items()})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / SCHEMA).write_text("{"), "schema.json: can't be read as JSON"),
        (lambda f: (f / SCHEMA).unlink(), "schema.json: is missing"),
        (lambda f: (f / "user_ids.parquet").unlink(), "user_ids.parquet: is missing"),
        (lambda f: (f / "item_ids.parquet").write_text("no"), "item_ids.parquet: can't be read"),
        (lambda f: (f / ARRAYS).write_bytes(b"\x80\x04no pickle"), "can't be read as safetensors"),
        (lambda f: change(f, format="headrace foundation 2"), "format is 'headrace foundation 2'"),
        (lambda f: change(f, trained_until_us="never"), "trained_until_us is 'never'"),
        (lambda f: change(f, user_parts={"UR": 0}), "user_parts.UR is 0"),
        (lambda f: change(f, user_parts={"UR": 2}), "users.values is"),
        (lambda f: change(f, fields={"user.age": ["category", "7"]}), "fields.user.age is"),
        (lambda f: change(f, users=3), "user_ids.parquet: id has 2 rows"),
        (lambda f: change(f, arrays={}), "block.crosses.0.weight is not in schema.json"),
        (lambda f: rewrite(f, "users.values", np.full((3, 5), np.nan, np.float32)), "users.values has values"),
        (lambda f: rewrite(f, "users.values", np.zeros((3, 5))), "users.values is float64"),
        (lambda f: rewrite(f, "items.values", np.zeros((2, 4), np.float32)), "items.values is"),
        (lambda f: rewrite(f, "users.at_us", np.array([20, 10, 5])), "users.at_us is not in the order of time"),
        (lambda f: rewrite(f, "users.offsets", np.array([0, 0, 2, 2])), "users.offsets does not cut"),
        (lambda f: pl.DataFrame({"id": ["ann", "ann"]}).write_parquet(f / "user_ids.parquet"), "id is not unique"),
        (lambda f: pl.DataFrame({"id": [1, 2]}).write_parquet(f / "user_ids.parquet"), "id is not its one column"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, damage, said) -> None:
    folder = written(tmp_path)
    damage(folder)
    with pytest.raises(ArtifactError, match=said):
        read_foundation(folder)
