"""What an import did, in figures."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Summary:
    """By table where it says so. Times in UTC microseconds.

    added: items and users that only events name. quarantined: table -> reason -> rows. kinds: kept events of each.
    tied_share: of events that stand at one moment with another of the same user. time_forms: column -> how its file writes
    times. ignored: columns of the events file that the contract has no place for.
    """

    clock: str
    read: dict[str, int]
    kept: dict[str, int]
    added: dict[str, int]
    quarantined: dict[str, dict[str, int]]
    first_at_us: int
    last_at_us: int
    kinds: dict[str, int]
    tied_share: float
    time_forms: dict[str, str]
    ignored: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ignored": list(self.ignored)}


def tied_share(events: pl.DataFrame) -> float:
    """Share of events whose user has another at the same moment."""
    return float(events.select((pl.len().over("user_id", "at") > 1).mean()).item() or 0.0)


def kind_counts(events: pl.DataFrame) -> dict[str, int]:
    """Events of each kind, the commonest first."""
    counts = events.group_by("kind").len().sort(["len", "kind"], descending=[True, False])
    return dict(counts.iter_rows())
