"""A generation watched for a while after its promotion, against what the one before it did: rolled back where it is surely worse.

    errors   answers that failed          latency   answers slower than p99_ms
        trips where the lower bound of the share > the limit (errors; 1%), and > the predecessor's own share
    clicks   pages followed by an event
        trips where the upper bound of the rate < (1 - click_drop) x the lower bound of the predecessor's
    drift    clicked pages over what the calibrated ranker expected, beside the same of the predecessor
        trips where |log of the two ratios' ratio| - z sqrt(1/clicked + 1/clicked before) > log drift

Bounds are Wilson's at z = 3.29 (99.9%), since the figures are looked at every second. It compares two times of day and not two
halves of the traffic: what changed outside (a sale, a holiday) is taken for the generation's doing, so limits are wide, and
whether it is better at all is an experiment's to say. Pages count as independent, though a user may have several.
It rolls back at most once: what comes after a rollback is not watched, and nothing promotes by itself what was rolled back.
"""

import math
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from headrace.contracts.serving import GuardrailConfig
from headrace.serve.live.tally import Figures, Tally

_Z = 3.29
Name = Literal["errors", "latency", "clicks", "drift"]


@dataclass(frozen=True)
class Tripped:
    """says: with the figures, for the ledger."""

    guardrail: Name
    says: str


@dataclass(frozen=True)
class Watch:
    """number: of the generation watched. before: the predecessor's tally, None where it is not known. began_s, ends_s: by the
    tally's clock."""

    number: int
    settings: GuardrailConfig
    tally: Tally
    before: Tally | None
    began_s: float
    ends_s: float

    @classmethod
    def of(
        cls, number: int, settings: GuardrailConfig, tally: Tally, before: Tally | None, *, gone_s: float = 0.0
    ) -> "Watch | None":
        """gone_s: of its window. None: the window is over, or there is none."""
        now, left_s = tally.clock(), settings.window_s - gone_s
        return None if left_s <= 0 else cls(number, settings, tally, before, now, now + left_s)

    @property
    def left_s(self) -> float:
        return max(self.ends_s - self.tally.clock(), 0.0)

    @property
    def over(self) -> bool:
        """The window, and the time that its last pages' clicks are waited for."""
        return self.tally.clock() > self.ends_s + self.settings.click_wait_s

    def tripped(self) -> Tripped | None:
        """The first that did, errors first."""
        mine = self.tally.since(self.began_s, settled_s=self.settings.click_wait_s)
        before = Figures() if self.before is None else self.before.since(-math.inf, settled_s=self.settings.click_wait_s)
        return (
            self._errors(mine, before) or self._latency(mine, before) or self._clicks(mine, before) or self._drift(mine, before)
        )

    def _errors(self, mine: Figures, before: Figures) -> Tripped | None:
        past = before.failed / before.answers if before.answers else 0.0
        return self._above("errors", mine.failed, mine.answers, self.settings.errors, past, "failed")

    def _latency(self, mine: Figures, before: Figures) -> Tripped | None:
        limit_s, ms = self.settings.p99_ms / 1000, f"{self.settings.p99_ms:g} ms"
        past = before.slower(limit_s) / len(before.took_s) if len(before.took_s) else 0.0
        return self._above("latency", mine.slower(limit_s), len(mine.took_s), 0.01, past, f"took longer than {ms}")

    def _above(self, name: Name, bad: int, of: int, limit: float, past: float, what: str) -> Tripped | None:
        if of < self.settings.least:
            return None
        lo, hi = wilson(bad, of)
        if lo <= max(limit, past):
            return None
        seen = f"{bad / of:.1%} of {of:,} answers {what} [{lo:.1%}, {hi:.1%}]"
        return Tripped(name, f"{seen}; the limit is {limit:.1%}, its predecessor had {past:.1%}")

    def _clicks(self, mine: Figures, before: Figures) -> Tripped | None:
        drop = self.settings.click_drop
        if not drop or min(mine.pages, before.pages) < self.settings.least:
            return None
        lo, hi = wilson(mine.clicked, mine.pages)
        past = wilson(before.clicked, before.pages)
        if hi >= (1 - drop) * past[0]:
            return None
        return Tripped(
            "clicks",
            f"{mine.clicked / mine.pages:.2%} of {mine.pages:,} pages were clicked [{lo:.2%}, {hi:.2%}]; its predecessor had "
            f"{before.clicked / before.pages:.2%} of {before.pages:,} [{past[0]:.2%}, {past[1]:.2%}], and {drop:.0%} may be lost",
        )

    def _drift(self, mine: Figures, before: Figures) -> Tripped | None:
        clicked, past = mine.foreseen, before.foreseen
        known = clicked and past and mine.expected > 0 and before.expected > 0
        if self.settings.drift <= 1 or not known or min(mine.pages, before.pages) < self.settings.least:
            return None
        now, then = clicked / mine.expected, past / before.expected
        apart = abs(math.log(now / then)) - _Z * math.sqrt(1 / clicked + 1 / past)
        if apart <= math.log(self.settings.drift):
            return None
        return Tripped(
            "drift",
            f"clicks are {now:.2f} x what its ranker expects of {mine.pages:,} pages; of its predecessor they were {then:.2f} x, "
            f"and a factor of {self.settings.drift:g} is allowed",
        )


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Wilson's interval of a share. of: above 0."""
    share, square = hits / of, _Z * _Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    reach = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


def seconds_since(moved: str) -> float:
    """moved: as the ledger writes times."""
    return max(time.time() - datetime.fromisoformat(moved).timestamp(), 0.0)
