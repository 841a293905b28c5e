"""A real log, read on a few days at a time: each generation is built on what was known by then, and none can be served.

The whole log is imported once; a cycle's tables are its rows before the cycle's moment, so a build sees nothing later.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headrace.cascade.pipeline import Pipeline
from headrace.contracts.progress import Progress
from headrace.data.clocks import need_times
from headrace.data.event_parts import scan_events
from headrace.flywheel.experiment.analysis import Analysis
from headrace.flywheel.opened import Opened
from headrace.flywheel.settings import FlyConfig

_DAY_US = 86_400_000_000
_KEPT = ("max_quarantined", "deterministic_policies")  # of [data]; the rest is about files that were read already
_TIMES = {"items": "valid_from", "users": "valid_from", "requests": "at"}


class Replay:
    """A `Traffic`. whole: the pipeline of the user's plan, whose import is read. folder: where cut tables go."""

    def __init__(self, whole: Pipeline, folder: Path, settings: FlyConfig):
        self.whole, self.folder, self.settings = whole, folder, settings
        need_times(whole.log.clock, "A flywheel")
        times = np.sort(whole.log.store.events.at_us)
        self.start_us = int(times[int(settings.first_share * (len(times) - 1))]) + 1
        self.last_us = int(times[-1])

    def cut_us(self, cycle: int) -> int:
        """The moment of a cycle: what is at or after it has not happened yet."""
        return self.start_us + (cycle - 1) * self.settings.days * _DAY_US

    def ended(self, cycle: int) -> str:
        if cycle == 1 or self.cut_us(cycle) <= self.last_us + 1:
            return ""
        return f"the log ends before generation {cycle}: there are no {self.settings.days} further days. Take fewer generations."

    def advance(self, cycle: int, live: Opened | None, progress: Progress) -> None:
        out = self._tables(cycle)
        if out.is_dir():
            return
        making = out.with_name(f".{out.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        cut, tables = pl.lit(self.cut_us(cycle)), self.whole.tables.path
        progress("cut the log", 0, 1)
        _before(scan_events(tables), "at", cut).sink_parquet(making / "events.parquet")
        for name, column in _TIMES.items():
            if (tables / f"{name}.parquet").is_file():
                _before(pl.scan_parquet(tables / f"{name}.parquet"), column, cut).sink_parquet(making / f"{name}.parquet")
        if (tables / "candidates.parquet").is_file():
            asked = pl.scan_parquet(making / "requests.parquet").select("request_id")
            rows = pl.scan_parquet(tables / "candidates.parquet").join(asked, on="request_id", how="semi")
            rows.sink_parquet(making / "candidates.parquet")
        making.rename(out)
        progress("cut the log", 1, 1)

    def plan(self, cycle: int, stages: Mapping[str, Any]) -> tuple[dict[str, Any], Path]:
        out = self._tables(cycle)
        there = {name: f"{name}.parquet" for name in ("events", *_TIMES, "candidates") if (out / f"{name}.parquet").is_file()}
        kept = {
            name: value for name, value in stages.get("data", {}).items() if name in ("max_quarantined", "deterministic_policies")
        }
        return {**stages, "data": {**kept, **there}}, out

    def trial(self, cycle: int, live: Opened, candidate: Opened, progress: Progress) -> Analysis | None:
        return None

    def worth(self, policy: Opened) -> float | None:
        return None

    def _tables(self, cycle: int) -> Path:
        return self.folder / f"{cycle:04d}"


def _before(rows: pl.LazyFrame, column: str, cut_us: pl.Expr) -> pl.LazyFrame:
    """Rows of a moment not known stand for what always held."""
    return rows.filter((pl.col(column).dt.timestamp("us") < cut_us).fill_null(True))
