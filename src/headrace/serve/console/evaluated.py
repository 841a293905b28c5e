"""What was measured of each generation of a run, and how two of them differ.

The figures are those of report.json, found in the store: nothing is measured here. Two generations were measured each by itself,
mostly on windows of their own, so the interval of a difference is put together from the two:

    lo = d - sqrt((this - this.lo)^2 + (other.hi - other)^2)       hi = d + sqrt((this.hi - this)^2 + (other - other.lo)^2)

as if other users had been asked; where the same were, it is wider than a paired one would be.
Source: Zou and Donner, Statistics in Medicine 2008 (variance estimates recovered from intervals).
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.cascade.evaluation import Measured, evaluate_cascade
from headrace.contracts.errors import HeadraceError
from headrace.evaluate.rows import Row, direction, in_order
from headrace.flywheel.opened import opened
from headrace.serve.live.known import Known
from headrace.serve.serving import Serving

_KEPT = 8


class Evaluations:
    """Kept by the generation's key, since finding one opens its pipeline."""

    def __init__(self, serving: Serving):
        self.serving, self._found, self._lock = serving, dict[str, Measured](), threading.Lock()

    def of(self, known: Known) -> Measured | None:
        """None where nothing was measured: a drill, say, or a loop that does not ([fly] measured)."""
        with self._lock:
            if known.key not in self._found:
                measured = self._open(known)
                if measured is None:
                    return None
                while len(self._found) >= _KEPT:
                    self._found.pop(next(iter(self._found)))
                self._found[known.key] = measured
            return self._found[known.key]

    def _open(self, known: Known) -> Measured | None:
        service, live = self.serving.service, self.serving.live
        try:
            if known.key == service.generation:
                return evaluate_cascade(service.pipeline)
            return evaluate_cascade(opened(live.run, live.ledger.get(known.number)).pipeline)
        except HeadraceError:  # a server makes nothing
            return None


@dataclass(frozen=True)
class Beside:
    """One figure of two generations. better: 1 this one, -1 the other, 0 neither said."""

    this: Row
    other: Row

    @property
    def change(self) -> float:
        return self.this.value - self.other.value

    @property
    def lo(self) -> float:
        return self.change - math.hypot(self.this.value - self.this.lo, self.other.hi - self.other.value)

    @property
    def hi(self) -> float:
        return self.change + math.hypot(self.this.hi - self.this.value, self.other.value - self.other.lo)

    @property
    def apart(self) -> bool:
        """Whether the interval leaves out no difference at all; not where an interval is not known."""
        return self.lo > 0 or self.hi < 0

    @property
    def better(self) -> int:
        toward = direction(self.this.metric) * self.change if self.apart else 0.0
        return (toward > 0) - (toward < 0)


def beside(these: Sequence[Row], others: Sequence[Row]) -> list[Beside]:
    """Figures that both have, in the order of the first."""
    of_other = {_which(row): row for row in reversed(others)}
    return [Beside(row, of_other[key]) for key, row in first_of_each(these).items() if key in of_other]


def first_of_each(rows: Sequence[Row]) -> dict[tuple[str, ...], Row]:
    """A figure stands in a table once for each baseline it is held against: the first of them."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        found.setdefault(_which(row), row)
    return found


def tables(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """One for each stage, and for each split where there are several."""
    several = len({row.split for row in rows}) > 1
    names = {(row.stage, row.split): f"{row.stage}, {row.split}" if several else row.stage for row in rows}
    return [(name, [row for row in rows if (row.stage, row.split) == key]) for key, name in names.items()]


def slices(rows: Sequence[Row]) -> list[str]:
    """ "all" first."""
    found = in_order(row.slice for row in rows)
    return sorted(found, key=lambda name: name != "all")


def _which(row: Row) -> tuple[str, ...]:
    return row.stage, row.split, row.slice, row.method, row.metric
