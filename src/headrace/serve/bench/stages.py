"""What the server says of its stages: percentiles between two looks at /metrics, as Prometheus' histogram_quantile has them.

Counts are known at the buckets' bounds and taken as even between them, so a percentile is as fine as its bucket. What lies above
the last bound is given as that bound.
"""

import math
import re
from collections import defaultdict

_LINE = re.compile(r'^headrace_stage_seconds_bucket\{le="([^"]+)",stage="([^"]+)"\} (\S+)$', re.MULTILINE)
Buckets = dict[str, dict[float, float]]


def buckets(text: str) -> Buckets:
    """stage -> upper bound in seconds -> answers that took at most so long."""
    found: Buckets = defaultdict(dict)
    for bound, stage, count in _LINE.findall(text):
        found[stage][float(bound)] = float(count)
    return dict(found)


def between(before: Buckets, after: Buckets) -> dict[str, dict[str, float]]:
    """stage -> how many answers, and percentiles in ms."""
    found = {}
    for stage, counts in after.items():
        grown = {bound: count - before.get(stage, {}).get(bound, 0.0) for bound, count in sorted(counts.items())}
        answers = grown.get(math.inf, 0.0)
        if answers > 0:
            shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
            found[stage] = {"answers": answers} | {
                name: round(1000 * quantile(grown, share * answers), 2) for name, share in shares.items()
            }
    return found


def quantile(grown: dict[float, float], wanted: float) -> float:
    """grown: upper bound -> answers up to it. wanted: which of the answers, counted from the fastest."""
    low, below = 0.0, 0.0
    for bound, count in grown.items():
        if count >= wanted:
            return low if math.isinf(bound) else low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    return low
