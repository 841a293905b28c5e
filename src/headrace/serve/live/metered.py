"""What is counted of generations, beside the server's other metrics."""

from headrace.serve.metrics import Metrics

_BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0)
_TENTHS = tuple(n / 10 for n in range(1, 11))


class Metered:
    def __init__(self, metrics: Metrics):
        self.moves = metrics.counter("generation_moves_total", "Moves of the ledger by what became of them here", "outcome")
        self.trips = metrics.counter("guardrail_trips_total", "Guardrails that tripped", "guardrail")
        self.arms = metrics.counter("arm_answers_total", "Answers by the arm that gave them", "experiment", "arm")
        self.open = metrics.gauge("generations_open", "Generations in memory")
        self.shadow_answers = metrics.counter("shadow_answers_total", "Requests a shadow was to answer", "generation", "outcome")
        self.shadow_s = metrics.histogram("shadow_seconds", "Time a shadow's answer takes", "generation", _BOUNDS_S)
        self.shadow_overlap = metrics.histogram(
            "shadow_overlap", "Share of the page's items that the shadow shows too", "generation", _TENTHS
        )
        self.shadow_correlation = metrics.histogram(
            "shadow_rank_correlation", "Spearman's, of the candidates both ranked", "generation",
            (-0.5, 0.0, 0.25, 0.5, 0.75, 0.9, 1.0),
        )  # fmt: skip
        for outcome in ("swapped", "refused", "rolled_back"):
            self.moves.labels(outcome)  # so that the first is a step from 0
