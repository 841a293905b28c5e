"""What was shown and what was not, for training and for judging other policies: the contract's tables.

    requests/DAY/NAME.parquet      one row an answer, with the seed and all that was asked: enough to work it out again
    candidates/DAY/NAME.parquet    stage "shown" (with position and propensity), "considered" (scored by the ranker), "recalled"
    exposures/DAY/NAME.parquet     who was answered by which arm of an experiment, once a file

Every shown item is there (logged_p 1). Of the others a share is, by a hash of request and item, so a row's being there says
nothing about its score: weigh it by 1 / logged_p. `scores` holds every score that an item was given, by stage.
An answer puts its arrays in a bounded queue and goes on; a thread makes rows and files of them. When the queue is full the answer
is counted as dropped and not logged. What is queued or in an open file (`rotate_s`) is lost with the process. Who was erased when
a file is written is not in it.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from headrace.contracts.requests import Bool
from headrace.contracts.tables import CANDIDATES, EXPOSURES, REQUESTS, TIME
from headrace.serve.asked import Asked
from headrace.serve.logs.candidate_rows import ItemIds, Outcome, candidate_rows
from headrace.serve.logs.files import alone, name_left, write_by_day
from headrace.serve.state.recent import Assigned
from headrace.serve.workers.seat import ALONE, Seat

log = logging.getLogger(__name__)

_ROWS = 512  # answers a file at most
_AT_ONCE = 64
_LOOKS_EVERY_S = 0.2
_MORE: dict[str, Any] = {
    "slots": pl.Int32(), "excluded": pl.List(pl.String), "skipped": pl.List(pl.String), "filters": pl.String(),
}  # fmt: skip
TABLES = ("candidates", "exposures", "requests")
"""No file of theirs is half written while somebody else holds `alone`, unless a process died of it."""
Count = Callable[[str, int], None]
Frames = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]
"""Of some answers: requests, candidates, exposures."""


@dataclass(frozen=True)
class Impression:
    """generation: whose answer it is, and in whose numbers. assigned: the arm of an experiment that gave it."""

    asked: Asked
    generation: str
    ids: ItemIds
    outcome: Outcome
    assigned: Assigned | None = None


class ImpressionLog:
    """count: told ("written" | "dropped" | "erased", answers). erased: of users, who was. seat: whose files these are."""

    def __init__(
        self, root: Path, *, share: float, waiting: int, rotate_s: float, count: Count,
        erased: Callable[[Sequence[str]], Bool], seat: Seat = ALONE,
    ):  # fmt: skip
        self._by = "" if seat.alone else f"-{seat.number}"  # two of them may answer in the same microsecond
        self.root, self.share, self.rotate_s, self.count, self.erased = root, share, rotate_s, count, erased
        self._queue: queue.Queue[Impression] = queue.Queue(waiting)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="impression log", daemon=True)
        self._thread.start()

    def put(self, impression: Impression) -> None:
        """Never waits."""
        try:
            self._queue.put_nowait(impression)
        except queue.Full:
            self.count("dropped", 1)

    def close(self) -> None:
        """After the last answer: what waits is written."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        """It looks by itself, so that no answer has to wake it. Rows are made of some answers at a time: each call has a price of
        its own, and of too many no answer should have to wait for the end."""
        made: list[Frames] = []
        held: list[Impression] = []
        closes_at, ended = 0.0, False
        self._tidy()
        while not ended:
            ended = self._ended.wait(_LOOKS_EVERY_S)
            while waiting := self._waiting(_AT_ONCE - len(held)):
                closes_at = closes_at if made or held else time.monotonic() + self.rotate_s
                held += waiting
                if len(held) >= _AT_ONCE:
                    made += self._frames(held)
                    held = []
                if len(made) * _AT_ONCE >= _ROWS:
                    self._write(made)
                    made = []
            if (made or held) and (ended or time.monotonic() >= closes_at):
                self._write([*made, *self._frames(held)])
                made, held = [], []

    def _waiting(self, most: int) -> list[Impression]:
        """Of those that wait, the oldest first."""
        return [self._queue.get_nowait() for _ in range(min(self._queue.qsize(), most))]

    def _tidy(self) -> None:
        """What a process that died left half written goes: no file will be named so again, and an erasure does not look there."""
        with self._reported(0), alone(self.root):
            for table in TABLES:
                name_left(self.root / table, None)

    @contextmanager
    def _reported(self, answers: int) -> Iterator[None]:
        """Whatever goes wrong is said, and the answers that are lost with it are counted: later ones need the thread."""
        try:
            yield
        except Exception:
            log.exception("%s: %d answers are not logged", self.root, answers)
            self.count("dropped", answers)

    def _frames(self, held: Sequence[Impression]) -> list[Frames]:
        """One, of some answers."""
        made: list[Frames] = []
        if held:
            with self._reported(len(held)):
                made.append((requests_of(held), self.candidates(held), exposures_of(held)))
        return made

    def _write(self, made: Sequence[Frames]) -> None:
        if not made:
            return
        requests, candidates, exposures = (pl.concat(frames) for frames in zip(*made, strict=True))
        name = f"{requests['at'].dt.timestamp('us')[0]:020d}{self._by}"
        with self._reported(len(requests)):
            with alone(self.root):
                gone = pl.Series(self.erased(requests["user_id"].to_list()))
                if gone.any():
                    candidates = candidates.join(requests.filter(gone), on="request_id", how="anti", maintain_order="left")
                    exposures = exposures.join(requests.filter(gone), on="request_id", how="anti", maintain_order="left")
                    requests = requests.filter(~gone)
                write_by_day(self.root / "candidates", candidates, "at", name)
                if len(exposures):
                    once = exposures.drop("request_id").unique(
                        ["experiment_id", "unit_id", "arm"], keep="first", maintain_order=True
                    )
                    write_by_day(self.root / "exposures", once, "first_at", name)
                write_by_day(self.root / "requests", requests, "at", name)
            self.count("written", len(requests))
            if gone.any():
                self.count("erased", int(gone.sum()))

    def candidates(self, held: Sequence[Impression]) -> pl.DataFrame:
        """Rows of the contract's table, and `at`, by which files are dated."""
        return candidate_rows(
            [one.asked for one in held], [one.outcome for one in held], [one.ids for one in held], self.share
        )  # fmt: skip


def requests_of(held: Sequence[Impression]) -> pl.DataFrame:
    """Rows of the contract's table; `slots`, `excluded`, `skipped` and `filters` are named features of the request."""
    rows = [
        {
            "request_id": one.asked.request_id, "user_id": one.asked.user_id, "at": one.asked.at_us,
            "surface": one.asked.surface, "policy_id": one.outcome.slates.policy_id, "generation_id": one.generation,
            "seed": one.asked.seed, "slots": one.asked.slots, "excluded": list(one.asked.excluded),
            "preference": one.asked.preference or None, "skipped": list(one.asked.skipped),
            "filters": one.asked.filters or None,
        }
        for one in held
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema={**REQUESTS.schema(), "at": pl.Int64(), **_MORE})
    return frame.with_columns(pl.col("at").cast(TIME))


def exposures_of(held: Sequence[Impression]) -> pl.DataFrame:
    """Rows of the contract's table of those that fell on an arm, and the request that each was."""
    rows = [
        {
            "experiment_id": one.assigned.experiment, "unit_id": one.assigned.unit, "unit_kind": one.assigned.unit_kind,
            "arm": one.assigned.arm, "first_at": one.asked.at_us, "request_id": one.asked.request_id,
        }
        for one in held if one.assigned is not None
    ]  # fmt: skip
    frame = pl.DataFrame(rows, schema={**EXPOSURES.schema(), "first_at": pl.Int64(), "request_id": pl.String()})
    return frame.with_columns(pl.col("first_at").cast(TIME))


def logged_request(root: Path, request_id: str) -> tuple[Asked, str] | None:
    """The request and the generation that answered it. Cost O(files)."""
    files = sorted((root / "requests").glob("*/*.parquet"))
    if not files:
        return None
    # files of an earlier version have fewer columns, and one of them may be the first
    requests = pl.scan_parquet(
        files, hive_partitioning=False, schema={**REQUESTS.schema(), **_MORE}, missing_columns="insert", extra_columns="ignore"
    )
    found = requests.filter(pl.col("request_id") == request_id).head(1).collect()
    if not len(found):
        return None
    row = found.with_columns(pl.col("at").dt.timestamp("us")).row(0, named=True)
    asked = Asked(
        row["request_id"], row["user_id"], row["at"], row["seed"], row["slots"], tuple(row["excluded"]), row["surface"],
        row["preference"] or "", tuple(row["skipped"] or ()), row["filters"] or "",
    )  # fmt: skip
    return asked, row["generation_id"]


def logged_candidates(root: Path, request_id: str) -> pl.DataFrame:
    """Its rows, the shown ones first and in order."""
    files = sorted((root / "candidates").glob("*/*.parquet"))
    if not files:
        return CANDIDATES.schema().to_frame()
    mine = pl.scan_parquet(files, hive_partitioning=False).filter(pl.col("request_id") == request_id)
    return mine.sort("position", nulls_last=True).collect()
