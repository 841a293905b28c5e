"""Which items a request wants to hear of at all, by columns of the items table.

    {"categories": {"any": ["shoes", "boots"], "none": ["used"]}, "price": {"min": 10, "max": 50}}

any: the item has one of these; none: it has none of them; min, max: both ends included. All that is said has to hold. An item
that has nothing in a column fits "none" alone. Columns and types are the catalogue's: a word that is none is refused with the
nearest right one.
Cost: O(items) the first time a filter is asked for, a look-up then; the last 64 are kept.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from headrace.contracts.errors import nearest
from headrace.contracts.requests import Bool
from headrace.serve.catalogue.item_table import ItemTable
from headrace.serve.messages import Filters, Refused, Value, Wanted

_MOST_COLUMNS = 20
_REMEMBERED = 64
_EXACT = 2**53  # JSON's numbers are floats: from here on one of them is several whole numbers
_HINTED = 10_000  # values of a column up to which a nearest one is looked for


@dataclass(frozen=True)
class Filter:
    """said: what it says, in one form: equal filters are equal texts. "" wants everything."""

    said: str
    columns: Mapping[str, Mapping[str, Any]]

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the table does."""
        return all(_fits(row.get(name), wanted) for name, wanted in self.columns.items())


NOTHING = Filter("", {})


class FilterRules:
    """What a generation's table makes of filters."""

    def __init__(self, table: ItemTable):
        self.table = table
        self._masks: OrderedDict[str, Bool] = OrderedDict()
        self._values: dict[str, frozenset[Any]] = {}

    def read(self, filters: Filters | None) -> Filter:
        """Refused names the column and what it holds."""
        if not filters:
            return NOTHING
        if len(filters) > _MOST_COLUMNS:
            raise Refused("filters", f"are of {len(filters)} columns: {_MOST_COLUMNS} at most.")
        columns = {name: self._column(name, wanted) for name, wanted in sorted(filters.items())}
        return Filter(json.dumps(columns), columns)

    def again(self, said: str) -> Filter:
        """One that was read before, also by another generation: columns that this one lacks or types otherwise fit nothing."""
        return Filter(said, json.loads(said)) if said else NOTHING

    def mask(self, wanted: Filter) -> Bool:
        """Of the build's items, by number; not to be written to."""
        if wanted.said in self._masks:
            self._masks.move_to_end(wanted.said)
            return self._masks[wanted.said]
        size = len(self.table.column("item_id"))
        found = np.ones(size, np.bool_)
        for name, one in wanted.columns.items():
            found &= _mask(self.table.column(name), one) if self._suits(name, one) else np.zeros(size, np.bool_)
        found[0] = False
        self._masks[wanted.said] = found
        while len(self._masks) > _REMEMBERED:
            self._masks.popitem(last=False)
        return found

    def unmet(self, wanted: Filter) -> list[str]:
        """Of the values that an item should have one of, those that none of the build's has."""
        said = []
        for name, one in wanted.columns.items():
            if name not in self.table.schema or self.table.kind(name) not in ("text", "list"):
                continue
            values = self._known_values(name)
            for value in one.get("any", ()):
                if value not in values:
                    hint = nearest(value, values) if len(values) <= _HINTED else ""
                    said.append(f'filters.{name}.any: no item of this generation has "{value:.80}".{hint}')
        return said

    def _known_values(self, name: str) -> frozenset[Any]:
        if name not in self._values:
            column = self.table.column(name)
            flat = column.list.explode(keep_nulls=False, empty_as_null=False) if self.table.kind(name) == "list" else column
            self._values[name] = frozenset(flat.drop_nulls().unique().to_list())
        return self._values[name]

    def _suits(self, name: str, wanted: Mapping[str, Any]) -> bool:
        """There is such a column."""
        try:
            self._column(name, Wanted(**wanted))
        except Refused:
            return False
        return True

    def _column(self, name: str, wanted: Wanted) -> dict[str, Any]:
        kind, field = self.table.known(name, f"filters.{name}"), f"filters.{name}"
        asked = wanted.model_dump(exclude_none=True)
        fits = {"number": _is_number, "whole": _is_whole, "flag": _is_flag}.get(kind, _is_text)
        if not asked:
            raise Refused(field, "wants nothing: give any, none, min or max.")
        numeric = kind in ("number", "whole")
        for bound in ("min", "max"):
            if bound in asked and not numeric:
                says = f"is of a column that holds {_WORDS[kind]}. Use any or none, as in {_example(kind)}."
                raise Refused(f"{field}.{bound}", says)
        for choice in ("any", "none"):
            for value in asked.get(choice, ()):
                if not fits(value):
                    raise Refused(f"{field}.{choice}", f"has {value!r:.80}: the column holds {_WORDS[kind]}.")
            if choice in asked:
                asked[choice] = sorted({int(one) for one in asked[choice]} if kind == "whole" else set(asked[choice]))
        if asked.get("min", -np.inf) > asked.get("max", np.inf):
            raise Refused(f"{field}.min", f"is {asked['min']}, above max, {asked['max']}: no item can fit.")
        return asked


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < np.inf  # NaN is not either


def _is_whole(value: Value) -> bool:
    return _is_number(value) and float(value).is_integer() and abs(float(value)) < _EXACT


def _is_flag(value: Value) -> bool:
    return isinstance(value, bool)


def _is_text(value: Value) -> bool:
    return isinstance(value, str)


_WORDS = {"text": "text", "list": "lists of texts", "number": "numbers", "whole": "whole numbers", "flag": "true or false"}


def _example(kind: str) -> str:
    return '{"any": [true]}' if kind == "flag" else '{"any": ["one of its values"]}'


def _fits(value: Any, wanted: Mapping[str, Any]) -> bool:
    has = [] if value is None else value if isinstance(value, list) else [value]
    if "any" in wanted and not any(one in wanted["any"] for one in has):
        return False
    if "none" in wanted and any(one in wanted["none"] for one in has):
        return False
    if "min" not in wanted and "max" not in wanted:
        return True
    least, most = wanted.get("min", -np.inf), wanted.get("max", np.inf)
    return bool(has) and _is_number(has[0]) and bool(least <= has[0] <= most)


def _mask(column: pl.Series, wanted: Mapping[str, Any]) -> Bool:
    found = np.ones(len(column), np.bool_)
    for choice, has in (("any", True), ("none", False)):
        if choice in wanted:
            found &= _has(column, wanted[choice]) == has
    if "min" in wanted:
        found &= (column >= wanted["min"]).fill_null(False).to_numpy()
    if "max" in wanted:
        found &= (column <= wanted["max"]).fill_null(False).to_numpy()
    return found


def _has(column: pl.Series, values: Sequence[Any]) -> Bool:
    """Which rows have one of the values."""
    if not isinstance(column.dtype, pl.List):
        one_of: Bool = column.is_in(list(values)).fill_null(False).to_numpy()
        return one_of
    flat = pl.DataFrame({"row": np.arange(len(column)), "value": column}).explode("value")
    found = np.zeros(len(column), np.bool_)
    found[flat.filter(pl.col("value").is_in(list(values)))["row"].to_numpy()] = True
    return found
