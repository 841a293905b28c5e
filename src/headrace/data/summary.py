"""What an import did, in figures."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Summary:
    """By table where it says so; requests and candidates stand there where the log has them. Times in UTC microseconds.

    added: items and users that only events, requests or candidates name. quarantined: table -> reason -> rows. kinds: kept events
    of each. tied_share: of events that stand at one moment with another of the same user. time_forms: column -> how its file
    writes times. ignored: columns of the events file that the contract has no place for. erased: rows of users who were to be
    forgotten.
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
    erased: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ignored": list(self.ignored)}
