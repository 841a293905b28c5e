"""The build's items table as serving reads it: the last row of an item, a column by item number, and what a column may hold."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from headrace.contracts.errors import listed, nearest
from headrace.contracts.tables import ITEMS
from headrace.serve.messages import Refused

_HELD = {"text": "text", "list": "a list of texts", "number": "a number", "whole": "a whole number", "flag": "true or false"}


class ItemTable:
    """tables: the folder of a build's. ids: its items in the order of their numbers, from 1."""

    def __init__(self, tables: Path, ids: pl.Series):
        self._path, self._ids = tables / "items.parquet", ids
        self.schema = pl.Schema({**ITEMS.schema(), **pl.read_parquet_schema(self._path)})
        self._columns: dict[str, pl.Series] = {}

    @property
    def sendable(self) -> list[str]:
        """Columns that a row which is put may have, but for its id."""
        return [name for name in self.schema if name != "item_id" and self.kind(name) in _HELD]

    def kind(self, name: str) -> str:
        """Of a column: text, list, number, whole or flag; else time or other, which a row that is put keeps and can't change."""
        dtype = self.schema[name]
        if dtype == pl.String:
            return "text"
        if dtype == pl.List(pl.String):
            return "list"
        if dtype.is_integer():
            return "whole"
        if dtype.is_float():
            return "number"
        return "flag" if dtype == pl.Boolean else "time" if dtype in (pl.Date, pl.Datetime) else "other"

    def known(self, name: str, field: str) -> str:
        """The column's kind; Refused names the nearest right word."""
        names = ["item_id", *self.sendable]
        if name not in names:
            raise Refused(field, f"is not a column of the items.{nearest(name, names)} Columns: {listed(names, 30)}.")
        return self.kind(name)

    def checked(self, name: str, value: Any, field: str) -> Any:
        """A column's value as the table would hold it; Refused says what it would."""
        kind = self.known(name, field)
        if value is None:
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "text": isinstance(value, str), "flag": isinstance(value, bool), "number": number and abs(value) < 1e300,
            "list": isinstance(value, list) and all(isinstance(one, str) for one in value),
            "whole": number and abs(value) < 2**53 and float(value).is_integer(),
        }  # fmt: skip
        if not fits[kind]:
            raise Refused(field, f"is {value!r:.80}: the items' column holds {_HELD[kind]}.")
        if kind == "whole":
            least, most = _bounds(self.schema[name])
            if not least <= value <= most:
                raise Refused(field, f"is {value!r:.80}: the items' column holds whole numbers from {least} to {most}.")
        if kind == "text":
            return value if value.strip() else None  # as an import reads it
        return int(value) if kind == "whole" else float(value) if kind == "number" else value

    def rows(self, item_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The last row of each that is there, as JSON holds it, times in their units. Cost: a pass over the file's ids."""
        found = pl.scan_parquet(self._path).filter(pl.col("item_id").is_in(list(item_ids))).collect()
        last = found.sort("valid_from", maintain_order=True).unique("item_id", keep="last").drop("valid_from")
        kinds = {name: self.kind(name) for name in last.columns}
        held = [
            pl.col(name).to_physical().cast(pl.Int64) if kind == "time" else _known(pl.col(name)) if kind == "number" else name
            for name, kind in kinds.items()
            if kind != "other"
        ]
        blank = dict.fromkeys(name for name in self.schema if name != "valid_from")
        return {row["item_id"]: {**blank, **row} for row in last.select(held).to_dicts()}

    def column(self, name: str) -> pl.Series:
        """[n_items], by number; null for item 0 and where there is none, or NaN. Read once."""
        if name not in self._columns:
            table = pl.read_parquet(self._path, columns=list(dict.fromkeys(["item_id", "valid_from", name])))
            if self.kind(name) == "number":
                table = table.with_columns(_known(pl.col(name)))
            last = table.sort("valid_from", maintain_order=True).unique("item_id", keep="last")
            mine = pl.DataFrame({"item_id": self._ids}).join(last, on="item_id", how="left", maintain_order="left")[name]
            self._columns[name] = pl.concat([pl.Series(name, [None], mine.dtype), mine])
        return self._columns[name]

    def texts(self) -> list[str]:
        """Title, text and categories of each item by number, "" for none."""
        columns = ["item_id", "valid_from", "title", "text", "categories"]
        last = pl.read_parquet(self._path, columns=columns).sort("valid_from", maintain_order=True).unique("item_id", keep="last")
        mine = pl.DataFrame({"item_id": self._ids}).join(last, on="item_id", how="left", maintain_order="left")
        said = pl.concat_str("title", "text", pl.col("categories").list.join(", "), separator="\n", ignore_nulls=True)
        return ["", *mine.select(said.fill_null("")).to_series().to_list()]


def _known(numbers: pl.Expr) -> pl.Expr:
    """NaN says nothing, and would be above every bound."""
    return numbers.fill_nan(None)


@cache
def _bounds(dtype: pl.DataType) -> tuple[int, int]:
    """Of a type of whole numbers."""
    least, most = pl.select(least=dtype.min(), most=dtype.max()).row(0)  # type: ignore[attr-defined]
    return least, most


def text_of(row: dict[str, Any]) -> str:
    """As `ItemTable.texts` has it."""
    parts = (row.get("title"), row.get("text"), ", ".join(row.get("categories") or []) or None)
    return "\n".join(part for part in parts if part is not None)
