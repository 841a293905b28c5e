"""A rubric: what to look for in a conversation or an answer, as rows that are read, versioned and stored, never as a prompt.

    rubric         rubric_id (of its content), name, polarity, scope, version, parent, method
    rubric_items   rubric_id, order, key, description, weight, scale_min, scale_max, support, sides, stat

polarity: SAT counts for satisfaction and DSAT against it; CRITERIA are wishes that an answer meets or not; CONTRAST says for
each aspect what either of two groups wants (`sides`). support: reasons in the data that an item stands for, 0 where it was
written by hand. stat: figures about it, such as its share in each group. A new version names the id it came from.
Papers: Lin et al., SPUR, ACL 2024; Mondal et al., Group Preference Alignment, EMNLP 2025 (industry).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import polars as pl

from headrace.artifacts.store import Artifact, Store, key_of
from headrace.contracts.config import digest
from headrace.contracts.errors import ArtifactError, DataError, listed
from headrace.contracts.manifest import Manifest
from headrace.contracts.tables import Column, Table

Polarity = Literal["SAT", "DSAT", "CRITERIA", "CONTRAST"]
SIGN: Mapping[str, int] = {"SAT": 1, "DSAT": -1, "CRITERIA": 1}
"""How an item's score counts in a total. A CONTRAST has none: what one group wants, the other may not."""

_PAIRS = pl.List(pl.Struct({"name": pl.String, "value": pl.String}))
_FIGURES = pl.List(pl.Struct({"name": pl.String, "value": pl.Float64}))
RUBRIC = Table(
    "rubric",
    ("rubric_id",),
    (
        Column("rubric_id", pl.String, required=True),
        Column("name", pl.String, required=True),
        Column("polarity", pl.String, required=True, choices=get_args(Polarity)),
        Column("scope", _PAIRS, required=True),
        Column("version", pl.Int32, required=True),
        Column("parent", pl.String),
        Column("method", pl.String, required=True),
    ),
)
ITEMS = Table(
    "rubric_items",
    ("rubric_id", "key"),
    (
        Column("rubric_id", pl.String, required=True),
        Column("order", pl.Int32, required=True),
        Column("key", pl.String, required=True),
        Column("description", pl.String, required=True),
        Column("weight", pl.Float64, required=True),
        Column("scale_min", pl.Int32, required=True),
        Column("scale_max", pl.Int32, required=True),
        Column("support", pl.Int32, required=True),
        Column("sides", _PAIRS, required=True),
        Column("stat", _FIGURES, required=True),
    ),
)
_KIND, _REVISION = "rubric", 1


@dataclass(frozen=True)
class Item:
    """scale_min: the least score of an item that is present; one that is not has 0."""

    key: str
    description: str
    weight: float = 1.0
    scale_min: int = 1
    scale_max: int = 10
    support: int = 0
    sides: Mapping[str, str] = field(default_factory=dict)
    stat: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Rubric:
    """scope: domain, intent, group or language it holds for. method: how it came to be ("by hand", "spur")."""

    name: str
    polarity: Polarity
    items: tuple[Item, ...]
    scope: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    parent: str | None = None
    method: str = "by hand"

    def __post_init__(self) -> None:
        if self.polarity not in get_args(Polarity):
            raise DataError(f'rubric "{self.name}": polarity is "{self.polarity}", expected {listed(get_args(Polarity))}.')
        if self.version < 1 or (self.version > 1) != (self.parent is not None):
            raise DataError(
                f'rubric "{self.name}": version {self.version} with parent {self.parent!r}; the first version has no parent, '
                "each later one names the id of the rubric it came from."
            )
        if not self.items:
            raise DataError(f'rubric "{self.name}" has no items; a judge needs at least one.')
        first: dict[str, int] = {}
        for row, item in enumerate(self.items, 1):
            _check(item, f'rubric_items of "{self.name}", row {row}', self.polarity)
            if item.key in first:
                raise DataError(
                    f'rubric_items of "{self.name}", row {row}: key "{item.key}" stands in row {first[item.key]} too.'
                )
            first[item.key] = row

    @property
    def id(self) -> str:
        """Equal rubrics have equal ids; any change makes another."""
        return digest(asdict(self))[:16]

    @property
    def keys(self) -> list[str]:
        return [item.key for item in self.items]

    def next(self, items: Sequence[Item], *, method: str) -> Rubric:
        """The version after this one."""
        return replace(self, items=tuple(items), version=self.version + 1, parent=self.id, method=method)

    def rendered(self) -> str:
        """As a prompt shows it: a line an item, in order."""
        return "\n".join(f"- {item.key}: {item.description}{_sides(item)}" for item in self.items)

    def tables(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """`rubric` and `rubric_items`."""
        head = {
            "rubric_id": self.id, "name": self.name, "polarity": self.polarity, "scope": _pairs(self.scope),
            "version": self.version, "parent": self.parent, "method": self.method,
        }  # fmt: skip
        rows = [
            {"rubric_id": self.id, "order": order, **asdict(item), "sides": _pairs(item.sides), "stat": _pairs(item.stat)}
            for order, item in enumerate(self.items)
        ]
        return pl.DataFrame([head], RUBRIC.schema()), pl.DataFrame(rows, ITEMS.schema())


def from_tables(rubric: pl.DataFrame, items: pl.DataFrame, where: str = "rubric") -> Rubric:
    """One rubric and its items, checked: DataError names row and field."""
    for frame, table in ((rubric, RUBRIC), (items, ITEMS)):
        _check_columns(frame, table, where)
    if len(rubric) != 1:
        raise DataError(f"{where}: rubric has {len(rubric)} rows, expected one.")
    head = rubric.row(0, named=True)
    rows = items.sort("order").drop("rubric_id", "order").rows(named=True)
    of = tuple(Item(**{**row, "sides": _map(row["sides"]), "stat": _map(row["stat"])}) for row in rows)
    found = Rubric(
        head["name"], head["polarity"], of, _map(head["scope"]), head["version"], head["parent"], head["method"],
    )  # fmt: skip
    stray = items.filter(pl.col("rubric_id") != head["rubric_id"])
    if found.id != head["rubric_id"] or len(stray):
        raise DataError(
            f'{where}: rubric_id is "{head["rubric_id"]}", but what stands there is "{found.id}". '
            "A changed rubric is another version: make it with Rubric.next."
        )
    return found


def store(
    into: Store, rubric: Rubric, *, parent: Artifact | None = None, made_from: Mapping[str, str] = {}, personal: bool = False
) -> Artifact:
    """An artifact of kind "rubric". parent: of the version before. made_from: name -> key of the data it was learned from;
    personal: that data was about people, so that an erasure finds it."""
    if rubric.parent != (None if parent is None else load(parent).id):
        raise ArtifactError(
            f'rubric "{rubric.name}" version {rubric.version} comes from {rubric.parent!r}; '
            f"the parent given is {None if parent is None else load(parent).id!r}. Give the artifact of the version before."
        )
    parents = {**made_from, **({} if parent is None else {"parent": parent.key})}
    content = {"name": rubric.name, "polarity": rubric.polarity, "version": rubric.version, "rubric_id": rubric.id}
    key = key_of(_KIND, content, parents, _REVISION)
    if (found := into.find(_KIND, key)) is not None:
        return found
    with into.create(Manifest(_KIND, key, _REVISION, content, parents, personal=personal)) as draft:
        for table, frame in zip((RUBRIC, ITEMS), rubric.tables(), strict=True):
            frame.write_parquet(draft.path / f"{table.name}.parquet")
            draft.schema[table.name] = {name: str(dtype) for name, dtype in frame.schema.items()}
    made = into.find(_KIND, key)
    assert made is not None
    return made


def load(artifact: Artifact) -> Rubric:
    if artifact.manifest.kind != _KIND:
        raise ArtifactError(f'{artifact.path}: is of kind "{artifact.manifest.kind}", expected "{_KIND}".')
    frames = [pl.read_parquet(artifact.path / f"{table.name}.parquet") for table in (RUBRIC, ITEMS)]
    return from_tables(frames[0], frames[1], str(artifact.path))


def _check(item: Item, where: str, polarity: Polarity) -> None:
    for name in ("key", "description"):
        if not getattr(item, name).strip():
            raise DataError(f"{where}: {name} is empty.")
    if not item.weight > 0:
        raise DataError(f"{where}: weight is {item.weight:g}, expected above 0; the rubric's polarity has the sign.")
    if not 0 < item.scale_min <= item.scale_max:
        raise DataError(f"{where}: scale is {item.scale_min} to {item.scale_max}; 0 means not there, so it starts above 0.")
    if item.support < 0:
        raise DataError(f"{where}: support is {item.support}, expected 0 or more.")
    if polarity == "CONTRAST" and (len(item.sides) != 2 or len({*map(_plain, item.sides.values())}) != 2):
        raise DataError(
            f"{where}: sides are {json.dumps(dict(item.sides))}; a contrast states two groups that want different things."
        )
    if polarity != "CONTRAST" and item.sides:
        raise DataError(f"{where}: sides are given, but the rubric is {polarity}; only a CONTRAST has them.")


def _check_columns(frame: pl.DataFrame, table: Table, where: str) -> None:
    for name, dtype in table.schema().items():
        if frame.schema.get(name) != dtype:
            raise DataError(f"{where}: {table.name}.{name} is {frame.schema.get(name)}, expected {dtype}.")
    for column in table.columns:
        empty = frame[column.name].is_null()
        if column.required and empty.any():
            raise DataError(f"{where}: {table.name} row {int(empty.arg_true()[0]) + 1}: {column.name} is null.")


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _sides(item: Item) -> str:
    return f" ({'; '.join(f'{group}: {wants}' for group, wants in item.sides.items())})" if item.sides else ""


def _pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _map(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {pair["name"]: pair["value"] for pair in pairs}
