"""What is counted of generations, beside the server's other metrics."""

from typing import Any

from headrace.encode.optional import optional
from headrace.serve.metrics import Metrics

_BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0)
_TENTHS = tuple(n / 10 for n in range(1, 11))


class Metered:
    def __init__(self, metrics: Metrics):
        client: Any = optional("prometheus_client", package="prometheus-client", extra="serve", purpose="Serving")
        registry = metrics.registry

        def counter(name: str, what: str, *labels: str) -> Any:
            return client.Counter(f"headrace_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, bounds: tuple[float, ...]) -> Any:
            return client.Histogram(f"headrace_{name}", what, ["generation"], buckets=bounds, registry=registry)

        self.moves = counter("generation_moves_total", "Moves of the ledger by what became of them here", "outcome")
        self.trips = counter("guardrail_trips_total", "Guardrails that tripped", "guardrail")
        self.arms = counter("arm_answers_total", "Answers by the arm that gave them", "experiment", "arm")
        self.open = client.Gauge("headrace_generations_open", "Generations in memory", registry=registry)
        self.shadow_answers = counter("shadow_answers_total", "Requests a shadow was to answer", "generation", "outcome")
        self.shadow_s = histogram("shadow_seconds", "Time a shadow's answer takes", _BOUNDS_S)
        self.shadow_overlap = histogram("shadow_overlap", "Share of the page's items that the shadow shows too", _TENTHS)
        self.shadow_correlation = histogram(
            "shadow_rank_correlation", "Spearman's, of the candidates both ranked", (-0.5, 0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
        )
        for outcome in ("swapped", "refused", "rolled_back"):
            self.moves.labels(outcome)  # so that the first is a step from 0
