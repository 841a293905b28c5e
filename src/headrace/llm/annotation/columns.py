"""The columns that a model fills in: what each may hold, as a JSON schema for the model and as a type for the file.

    [columns.mood]                 ->   "mood": {"type": "number", "minimum": -1, "maximum": 1}   ->   Float64
    type = "number"
    least = -1
    most = 1

Every column is required of an answer, and an answer that breaks one rule is unparsed as a whole: no value of it is used. They are
written in their order, so a reason is best asked for before the verdict.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import polars as pl
from annotated_types import Gt

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.llm.asking import Unusable

_DTYPES: dict[str, pl.DataType] = {
    "text": pl.String(), "number": pl.Float64(), "integer": pl.Int64(), "boolean": pl.Boolean(), "choice": pl.String(),
    "texts": pl.List(pl.String()), "choices": pl.List(pl.String()),
}  # fmt: skip
_BELONGS = {
    "choices": ("choice", "choices"), "least": ("number", "integer"), "most": ("number", "integer"),
    "max_characters": ("text", "texts"), "max_items": ("texts", "choices"),
}  # fmt: skip


@config
class Column:
    """description: told to the model. choices: of a choice, or of each in a list of choices. least, most: of a number, both
    inclusive. max_characters: of a text (1,000 if left out). max_items: of a list (20 if left out)."""

    type: Literal["text", "number", "integer", "boolean", "choice", "texts", "choices"]
    description: str = ""
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    max_characters: Annotated[int, Gt(0)] | None = None
    max_items: Annotated[int, Gt(0)] | None = None

    def __post_init__(self) -> None:
        for name, types in _BELONGS.items():
            if getattr(self, name) not in (None, ()) and self.type not in types:
                raise ConfigError(
                    f"{name} belongs to a column of type {' or '.join(types)}, and this one is of type {self.type}."
                )
        if self.type in ("choice", "choices") and len(set(self.choices)) < max(1, len(self.choices)):
            raise ConfigError(f"a column of type {self.type} needs choices, each named once; it has {list(self.choices)}.")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ConfigError(f"least is {self.least:g} and most {self.most:g}: no number lies between them.")

    @property
    def dtype(self) -> pl.DataType:
        return _DTYPES[self.type]

    @property
    def schema(self) -> dict[str, Any]:
        match self.type:
            case "text":
                made = self._text()
            case "choice":
                made = {"type": "string", "enum": list(self.choices)}
            case "texts":
                made = {"type": "array", "items": self._text(), "maxItems": self.max_items or 20}
            case "choices":
                made = {"type": "array", "items": {"enum": list(self.choices)}, "maxItems": self.max_items or 20}
            case "boolean":
                made = {"type": "boolean"}
            case _:
                bounds = {"minimum": self.least, "maximum": self.most}
                found = {name: bound for name, bound in bounds.items() if bound is not None}
                made = {"type": self.type} | {n: int(bound) if bound == int(bound) else bound for n, bound in found.items()}
        return made | ({"description": self.description} if self.description else {})

    def _text(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.max_characters or 1000}


def schema_of(columns: Mapping[str, Column]) -> dict[str, Any]:
    properties = {name: column.schema for name, column in columns.items()}
    return {"type": "object", "properties": properties, "required": list(columns), "additionalProperties": False}


def values_of(columns: Mapping[str, Column], answer: Mapping[str, Any]) -> list[Any]:
    """Of an answer that meets the schema, as the file's types have them. Unusable where a value has no place in its type."""
    return [_value(name, column, answer[name]) for name, column in columns.items()]


def _value(name: str, column: Column, value: Any) -> Any:
    if column.type == "number":
        try:
            return float(value)
        except OverflowError:
            raise Unusable(f"{name}: a number of {len(str(value))} digits is too large") from None
    if column.type == "integer":
        if not -(2**63) <= value < 2**63:
            raise Unusable(f"{name}: {str(value)[:40]} does not fit 64 bits")
        return int(value)
    if column.type in ("text", "texts"):
        for text in [value] if isinstance(value, str) else value:
            if not _encodes(text):
                raise Unusable(f"{name}: holds half a character (a lone surrogate)")
    return value


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
