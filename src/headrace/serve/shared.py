"""What a server's generations have in common: one clock, one set of counters, logs that go on, who asked what lately."""

from collections.abc import Callable
from pathlib import Path

from headrace.contracts.serving import ServeConfig
from headrace.serve.live.tally import Tally
from headrace.serve.logs.events import EventLog
from headrace.serve.logs.following import Following
from headrace.serve.logs.impressions import ImpressionLog
from headrace.serve.metrics import Metrics
from headrace.serve.state.lately import Lately, emptied
from headrace.serve.state.layered import LayeredState
from headrace.serve.state.opening import open_catalogue, open_recent
from headrace.serve.workers.duty import Duty
from headrace.serve.workers.seat import Seat


class Shared:
    """state: of the first generation; those that follow are opened beside it, on the same database. store: the run's."""

    def __init__(
        self,
        root: Path,
        store: Path,
        settings: ServeConfig,
        state: LayeredState,
        metrics: Metrics,
        now_us: Callable[[], int] | None,
        seat: Seat,
    ):
        self.root, self.settings, self.metrics, self.seat = root, settings, metrics, seat
        self.state, self.moments = state, state.timed(now_us)
        lately = root / "lately"
        self.lately = Lately(emptied(lately) if seat.alone else lately, metrics.unnoted)
        self.recent, self.tallies = open_recent(state, self.lately, settings), dict[str, Tally]()
        self.catalogue = open_catalogue(state)
        self.duty = Duty(root / "duty.lock")
        self.following = Following(root, store, state, self.recent, metrics.erasures_left)
        self.event_log = EventLog(
            root, state, sync_s=settings.sync_s, rotate_s=settings.rotate_s, beside=lambda: self.catalogue.write_items(root),
            mine=lambda: self.duty.mine, after=self._rotated,
        )  # fmt: skip
        self.impressions = ImpressionLog(
            root, share=settings.unshown_share, waiting=settings.queue, rotate_s=settings.rotate_s, count=metrics.impressions,
            erased=state.erased, seat=seat,
        )  # fmt: skip

    def _rotated(self) -> None:
        told, silent_s = self.state.rows_told(), self.state.silent_s
        if told is not None:
            self.metrics.rows(*told)
        if silent_s is not None:
            self.metrics.silent(silent_s)
        if self.duty.mine:
            self.following.follow()

    def now_us(self) -> int:
        """Of a request: an event is either before it or after it."""
        return self.moments.asked()

    def tally(self, generation: str) -> Tally:
        """What is known of how it fares, since this server was started."""
        return self.tallies.setdefault(generation, Tally(self.lately, generation))

    def clicked(self, request_id: str, item_id: str) -> None:
        """A positive event names a request, answered by whichever generation."""
        found = self.recent.get(request_id)
        if found is not None:
            self.tally(found.generation).clicked(request_id, item_id, self.settings.guardrails.click_wait_s)

    def close(self) -> None:
        """Before the last generation's state: what was logged is on disk when it returns."""
        self.impressions.close()
        self.event_log.close()
        self.lately.close()
        if self.seat.alone:
            emptied(self.root / "lately")
        self.duty.close()
