"""What routes and pages stand on: the service that answers now, the thread that answers, and where its run lies."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from headrace.contracts.serving import ServeConfig
from headrace.serve.guard.door import Door
from headrace.serve.live.holder import Live
from headrace.serve.metrics import Metrics
from headrace.serve.service import Service

T = TypeVar("T")


@dataclass
class Serving:
    """folder: the run's. Answers are worked out one at a time, in a thread of their own: two at once on one core would both take
    twice as long, and events, health and metrics are answered meanwhile. A route asks for `service` once and keeps it."""

    folder: Path
    live: Live
    answering: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="answers"))
    door: Door = field(default_factory=Door)

    def __post_init__(self) -> None:
        self.live.open.settle = self._idle

    @property
    def service(self) -> Service:
        """The generation that answers now."""
        return self.live.current

    @property
    def settings(self) -> ServeConfig:
        return self.service.settings

    @property
    def metrics(self) -> Metrics:
        return self.live.metrics

    def _idle(self) -> None:
        """Waits for the answers that stand in line."""
        self.answering.submit(int).result()

    async def alone(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.answering, work, *arguments)

    def close(self) -> None:
        """After the answers in flight; logs are flushed when it returns."""
        self.answering.shutdown(wait=True)
        self.live.close()
