"""What is to be said of a generation."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["live", "arm", "shadow", "open", "opening", "refused", "closed"]


@dataclass(frozen=True)
class Known:
    """number: 0 of a build without a ledger. status "open": kept to go back to; "closed": in the ledger and not opened. says: why
    it was refused, else what the gates said."""

    number: int
    key: str
    status: Status
    made: str = ""
    says: str = ""
