"""The rows of the contract's candidates table of some answers: what was shown, considered and recalled, with every score.

Columns are made of the rows that are kept alone, a share of what was not shown; `scores` holds a struct for every stage that
gave one. Cost O(answers × candidates × stages) in arrays, and a fixed part a call, so many answers at once are cheaper each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.cascade.answers import Walk
from headrace.contracts.requests import Candidates, Int32, Int64, Slates
from headrace.contracts.rng import mix, stable_hash, uniform
from headrace.contracts.tables import CANDIDATES, TIME
from headrace.serve.asked import Asked

_STAGES = ("recalled", "considered", "shown")
_RECALLED, _CONSIDERED, _SHOWN = range(3)


class ItemIds:
    """Of a generation, by item number, and what they are drawn by. ids: may grow, at its end."""

    def __init__(self, ids: Sequence[str]):
        self._all = ids
        self.ids, self.keys = np.array(ids, object), stable_hash(list(ids))

    def grown(self) -> "ItemIds":
        """With those that came meanwhile; the thread's that writes."""
        new = list(self._all[len(self.ids) :])
        if new:
            self.ids = np.concatenate([self.ids, np.array(new, object)])
            self.keys = np.concatenate([self.keys, stable_hash(new)])
        return self


class Outcome(NamedTuple):
    """What of an answer is logged. Not the cascade that it came from: that one may be closed while answers wait for a file."""

    recalled: Candidates
    scored: dict[str, Candidates]
    slates: Slates

    @classmethod
    def of(cls, walked: Walk) -> "Outcome":
        return cls(walked.recalled, walked.scored, walked.slates)


@dataclass(frozen=True)
class Columns:
    """Of one answer, [rows]; scores [stages, rows], NaN where a stage gave none."""

    item: NDArray[Any]
    stage: Int32
    position: Int32
    propensity: NDArray[np.float64]
    scores: NDArray[np.float64]


def candidate_rows(asked: Sequence[Asked], outcomes: Sequence[Outcome], ids: Sequence[ItemIds], share: float) -> pl.DataFrame:
    """Rows of the contract's table, and `at`, by which files are dated. One of each for every answer."""
    stages = list(dict.fromkeys(stage for one in outcomes for stage in (*one.recalled.scores, *one.scored)))
    parts = [_of(*one, stages, share) for one in zip(asked, outcomes, ids, strict=True)]
    lengths = [len(part.item) for part in parts]
    item, stage, position, propensity = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("item", "stage", "position", "propensity")
    )
    scores = np.concatenate([part.scores for part in parts], 1)
    frame = pl.DataFrame({
        "request_id": pl.Series([one.request_id for one in asked]).gather(np.repeat(np.arange(len(asked)), lengths)),
        "item_id": pl.Series(item, dtype=pl.String),
        "stage": pl.Series(_STAGES).gather(stage),
        "position": position, "propensity": propensity, "logged_p": np.where(stage == _SHOWN, 1.0, share),
        "at": np.repeat([one.at_us for one in asked], lengths), "scores": _structs(stages, scores),
    })  # fmt: skip
    return frame.with_columns(
        pl.col("position").replace(0, None), pl.col("propensity").fill_nan(None), pl.col("at").cast(TIME)
    ).select(*(pl.col(column.name).cast(column.dtype) for column in CANDIDATES.columns), "at")  # fmt: skip


def _structs(stages: Sequence[str], scores: NDArray[np.float64]) -> pl.Series:
    """Of each row a list of (stage, score), those that are there."""
    by_row = scores.T
    row, stage = np.nonzero(~np.isnan(by_row))
    told = pl.DataFrame({"row": row, "stage": pl.Series(stages, dtype=pl.String).gather(stage), "score": by_row[row, stage]})
    lists = told.group_by("row", maintain_order=True).agg(scores=pl.struct("stage", "score"))
    if len(lists) < len(by_row):  # a pinned item may be one that nobody scored
        every = pl.DataFrame({"row": np.arange(len(by_row))})
        lists = every.join(lists, on="row", how="left", maintain_order="left").with_columns(pl.col("scores").fill_null([]))
    return lists["scores"]


def _of(asked: Asked, outcome: Outcome, ids: ItemIds, stages: Sequence[str], share: float) -> Columns:
    recalled, ids = outcome.recalled.items[0], ids.grown()
    order = np.argsort(recalled, kind="stable")
    ordered = recalled[order]

    def places(wanted: Int32) -> Int64:
        """Where each stands among the recalled, all of which it is among."""
        found: Int64 = order[ordered.searchsorted(wanted)]
        return found

    stage = np.full(len(recalled), _RECALLED, np.int32)
    scored = []
    for name, everything in outcome.scored.items():
        items = everything.items[0][everything.there[0]]
        place = places(items)
        scored.append((name, place, everything.scores[name][0, : len(items)]))
        stage[:] = _RECALLED
        stage[place] = _CONSIDERED
    shown = outcome.slates.items[0, : asked.slots]
    filled = np.flatnonzero(shown)
    place = places(shown[filled])
    stage[place] = _SHOWN
    position, propensity = np.zeros(len(recalled), np.int32), np.full(len(recalled), np.nan)
    position[place], propensity[place] = filled + 1, outcome.slates.propensity[0, filled]
    draw = uniform(mix(ids.keys[recalled], stable_hash([asked.request_id])[0]))
    kept = np.flatnonzero((recalled > 0) & ((stage == _SHOWN) | (draw < share)))

    scores = np.full((len(stages), len(kept)), np.nan)
    for name, values in outcome.recalled.scores.items():
        scores[stages.index(name)] = values[0][kept]
    for name, place, values in scored:
        everyone = np.full(len(recalled), np.nan)
        everyone[place] = values
        scores[stages.index(name)] = everyone[kept]
    return Columns(ids.ids[recalled[kept]], stage[kept], position[kept], propensity[kept], scores)
