"""The one shape of a reported figure: a value never stands without n, an interval and what it was compared with."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from headrace.evaluate.bootstrap import Means, holm, two_sided_p

SIGNIFICANT = 0.05
_HIGHER = {"recall", "ndcg", "graded_ndcg", "mrr", "map", "hit_rate", "auc", "gauc", "coverage"}
_LOWER = {"log_loss", "normalized_entropy", "ece", "gini"}
BEYOND = {"coverage", "gini", "novelty", "diversity"}


@dataclass(frozen=True)
class Row:
    """n users; lo and hi are the 95% interval of value, diff_lo and diff_hi of diff = value - baseline's; NaN for one user.

    p is two-sided and Holm-adjusted over the table. The baseline's own rows have None for baseline, diff and p.
    """

    stage: str
    method: str
    split: str
    slice: str
    metric: str
    value: float
    lo: float
    hi: float
    n: int
    baseline: str | None = None
    diff: float | None = None
    diff_lo: float | None = None
    diff_hi: float | None = None
    p: float | None = None

    @property
    def differs(self) -> bool:
        return self.p is not None and self.p < SIGNIFICANT

    @property
    def verdict(self) -> Literal["baseline", "better", "worse", "differs", "same"]:
        """What the test allows to say. 'differs' is for metrics where neither direction is good in itself."""
        if self.p is None or self.diff is None:
            return "baseline"
        if not self.differs:
            return "same"
        toward = direction(self.metric) * self.diff
        return "better" if toward > 0 else "worse" if toward < 0 else "differs"

    @property
    def beyond_accuracy(self) -> bool:
        return _bare(self.metric) in BEYOND

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN: null there."""
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the rows of one table have in common. further: baselines besides the first."""

    stage: str
    split: str
    baseline: str
    further: tuple[str, ...] = ()
    seed: int = 0
    resamples: int = 2000

    def rows(self, part: str, metric: str, methods: Sequence[str], figures: Means, differences: Means) -> list[Row]:
        """One slice and metric; figures and differences (to the baseline) hold a column a method. p is raw."""
        p = two_sided_p(differences.resampled, differences.n)
        rows = []
        for at, method in enumerate(methods):
            row = Row(
                self.stage, method, self.split, part, metric,
                float(figures.value[at]), float(figures.lo[at]), float(figures.hi[at]), figures.n,
            )  # fmt: skip
            if method != self.baseline:
                value, lo, hi = (float(column[at]) for column in (differences.value, differences.lo, differences.hi))
                row = replace(row, baseline=self.baseline, diff=value, diff_lo=lo, diff_hi=hi, p=float(p[at]))
            rows.append(row)
        return rows


def direction(metric: str) -> int:
    """1 where more is better, -1 where less is, 0 where neither (novelty, calibration_ratio)."""
    return (_bare(metric) in _HIGHER) - (_bare(metric) in _LOWER)


def accuracy(rows: Sequence[Row]) -> list[Row]:
    """What a short table shows: right or not, over all requests."""
    return [row for row in rows if row.slice == "all" and not row.beyond_accuracy]


def _bare(metric: str) -> str:
    """ "ndcg" of "ndcg@10 (sampled: uniform-100)"."""
    return re.split("[@ ]", metric, maxsplit=1)[0]


def holm_adjusted(rows: Sequence[Row]) -> list[Row]:
    """The table with each raw p replaced by its adjusted one."""
    tested = [place for place, row in enumerate(rows) if row.p is not None]
    adjusted = dict(zip(tested, holm(np.array([rows[place].p for place in tested], np.float64)), strict=True))
    return [replace(row, p=float(adjusted[place])) if place in adjusted else row for place, row in enumerate(rows)]


def in_order(values: Iterable[str]) -> list[str]:
    """Different values as they first come."""
    return list(dict.fromkeys(values))
