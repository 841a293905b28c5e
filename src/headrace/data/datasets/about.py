"""What a data set says of itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """make: writes the tables into an empty folder. clock: None when there is no log of users and items.

    rows: table -> rows, as published; a copy that has others is refused. revision: grows when `make` writes something else.
    """

    name: str
    says: str
    source: str
    licence: str
    clock: Literal["time", "ordinal"] | None
    rows: dict[str, int]
    make: Callable[[Path], None]
    revision: int = 1
