"""Which generations are open, and the one that answers. It is one reference: whoever asked for it keeps what they got."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headrace.flywheel.generations import Generations
from headrace.serve.metrics import Metrics
from headrace.serve.service import Service

Status = Literal["live", "arm", "shadow", "opening", "closing", "refused", "closed"]


@dataclass(frozen=True)
class Known:
    """number: 0 for a build without a ledger. status "closed": it is in the ledger and not opened. says: what there is to say of
    it: why it was refused, or what the gates said."""

    number: int
    key: str
    status: Status
    made: str = ""
    says: str = ""


class Live:
    """run: the folder served. first: what answers to begin with."""

    def __init__(self, run: Path, first: Service):
        self.run, self.current = run, first

    @property
    def metrics(self) -> Metrics:
        return self.current.metrics

    def all(self) -> list[Known]:
        """Every generation of the run, in the order made."""
        key, known = self.current.generation, Generations(self.run).all()
        if not known:
            return [Known(0, key, "live")]
        return [
            Known(one.number, one.key, "live" if one.key == key else "closed", one.made, str(one.verdict.get("says", "")))
            for one in known
        ]

    def close(self) -> None:
        """After the last answer."""
        self.current.close()
