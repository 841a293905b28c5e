"""The processes of a server as one of them, or anybody on the machine, sees them."""

import time
from dataclasses import dataclass
from pathlib import Path

from headrace.serve.bench.footprint import footprint
from headrace.serve.workers.duty import on_duty
from headrace.serve.workers.supervisor import serving_workers


@dataclass(frozen=True)
class Seen:
    """pss_mb: its part of the memory that several have, and private_mb, that of none else. duty: whether it writes the log and
    judges for all."""

    number: int
    pid: int
    up_s: float
    ready: bool
    pss_mb: float
    private_mb: float
    duty: bool


def seen(root: Path) -> list[Seen]:
    """root: RUN/served. None of a server that is a single process."""
    found, writer = list[Seen](), on_duty(root / "duty.lock")
    for one in serving_workers(root):
        weight = footprint(one["pid"])
        up_s = max(time.time() - one["since"], 0.0)
        found.append(
            Seen(one["number"], one["pid"], up_s, one["ready"], weight.pss_mb, weight.private_mb, one["pid"] == writer)
        )  # fmt: skip
    return found
