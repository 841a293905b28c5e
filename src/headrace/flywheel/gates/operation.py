"""Does it run? What a replay or shadow of real requests met, and how long answers take.

Evidence "shadow": a `Replayed`. Evidence "latency": a `Latency`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le

from headrace.contracts.config import config
from headrace.contracts.seams import Decision
from headrace.flywheel.gates.verdicts import missing, of_kind


@dataclass(frozen=True)
class Replayed:
    """requests: asked of both generations. errors: the candidate failed. empty: it left a page short. overlap: mean share of a
    page's items that stand on the live one's too."""

    requests: int
    errors: int
    empty: int
    overlap: float


@dataclass(frozen=True)
class Latency:
    """Of one answer in process, n of them, in milliseconds."""

    p50_ms: float
    p99_ms: float
    n: int


@config
class Shadow:
    """most_failing: share of answers that may fail or be short. least_overlap: below it the candidate is another product."""

    name: ClassVar[str] = "shadow"
    most_failing: Annotated[float, Ge(0), Le(1)] = 0.001
    least_overlap: Annotated[float, Ge(0), Le(1)] = 0.05
    least: Annotated[int, Gt(0)] = 100

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        seen: Replayed | None = of_kind(evidence.get("shadow"), Replayed, "shadow")
        if seen is None or seen.requests < self.least:
            asked = 0 if seen is None else seen.requests
            return missing(self.most_failing, f"{asked} requests replayed, fewer than {self.least}")
        failing = (seen.errors + seen.empty) / seen.requests
        if failing > self.most_failing:
            counts = f"{seen.errors} errors and {seen.empty} short pages in {seen.requests} requests"
            return Decision("blocked", failing, self.most_failing, f"{counts}: share {failing:.4f}, limit {self.most_failing:g}")
        if seen.overlap < self.least_overlap:
            return Decision(
                "blocked", seen.overlap, self.least_overlap, f"pages share {seen.overlap:.3f} of their items with the live ones"
            )
        return Decision(
            "passed", failing, self.most_failing, f"{seen.requests} requests, {failing:.4f} failing, overlap {seen.overlap:.2f}"
        )


@config
class LatencyBudget:
    name: ClassVar[str] = "latency"
    p99_ms: Annotated[float, Gt(0)] = 50.0
    least: Annotated[int, Gt(0)] = 100

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        took: Latency | None = of_kind(evidence.get("latency"), Latency, "latency")
        if took is None or took.n < self.least:
            return missing(self.p99_ms, f"{0 if took is None else took.n} answers timed, fewer than {self.least}")
        says = f"p99 {took.p99_ms:.1f} ms, p50 {took.p50_ms:.1f} ms over {took.n} answers; budget {self.p99_ms:g} ms"
        return Decision("passed" if took.p99_ms <= self.p99_ms else "blocked", took.p99_ms, self.p99_ms, says)
