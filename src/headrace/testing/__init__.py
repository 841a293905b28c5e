"""Public conformance suites: a method's own test calls its seam's suite first, and so can a plugin's.

    def test_contract():
        check_retriever(fitted, some_requests(), n_items=20)

Each is a plain function that raises an AssertionError saying what was expected. `examples` builds small seeded inputs for them.
"""

from headrace.testing.balancer import check_balancer
from headrace.testing.batches import check_batches
from headrace.testing.chat import check_chat_model
from headrace.testing.closed_form import check_closed_form
from headrace.testing.gate import check_gate
from headrace.testing.judge import check_judge
from headrace.testing.loss import check_loss
from headrace.testing.objective import check_objective
from headrace.testing.optimizer import check_optimizer
from headrace.testing.policy import check_policy
from headrace.testing.pseudo_labeler import check_pseudo_labeler
from headrace.testing.retriever import check_retriever
from headrace.testing.scorer import check_scorer
from headrace.testing.stored import check_stored
from headrace.testing.transformer import check_transformer

__all__ = [
    "check_balancer",
    "check_batches",
    "check_chat_model",
    "check_closed_form",
    "check_gate",
    "check_judge",
    "check_loss",
    "check_objective",
    "check_optimizer",
    "check_policy",
    "check_pseudo_labeler",
    "check_retriever",
    "check_scorer",
    "check_stored",
    "check_transformer",
]
