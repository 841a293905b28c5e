"""Where time passes: a world that can be served, or a real log that is read on. The loop knows no difference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from headrace.contracts.progress import Progress
from headrace.flywheel.experiment.analysis import Analysis
from headrace.flywheel.opened import Opened


class Traffic(Protocol):
    """cycle: from 1. Whatever was done of a call that was killed is done again to the same bytes."""

    def advance(self, cycle: int, live: Opened | None, progress: Progress) -> None:
        """Let time pass with `live` answering; None: the logger that was there before any generation."""
        ...

    def plan(self, cycle: int, stages: Mapping[str, Any]) -> tuple[dict[str, Any], Path]:
        """The TOML of this cycle's build and the folder its paths count from; stages: what the user's own says."""
        ...

    def trial(self, cycle: int, live: Opened, candidate: Opened, progress: Progress) -> Analysis | None:
        """An A/B test of the two; None where nobody can be asked."""
        ...

    def worth(self, policy: Opened) -> float | None:
        """The true expected utility a request; None where it is not known."""
        ...

    def ended(self, cycle: int) -> str:
        """Why there is no such cycle: the log ends before it. Empty where there is."""
        ...
