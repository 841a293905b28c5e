"""A day of a world as rows of the project's own tables, and the truth about every logged candidate, kept apart.

Candidates: of a page filled from the world's recall, all that was recalled, with the stage it reached and its scores by stage; of
a policy that finds its own candidates, what it showed. A deterministic page has positions and no propensity.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from headrace.contracts.requests import Bool, Int32, Int64
from headrace.contracts.tables import CANDIDATES, EVENTS, REQUESTS, TIME
from headrace.data.shape import in_shape
from headrace.world.outcomes import Outcome
from headrace.world.population import Views
from headrace.world.recall import SOURCES

if TYPE_CHECKING:
    from headrace.world.live import World

_ROWS_AT_ONCE = 1000  # requests, some 200,000 candidates
_SCORED = (*SOURCES, "stage1", "stage2")


@dataclass(frozen=True)
class _Rows:
    """Candidates, [n]. request: row of the outcome; column: place among the offered; slot on the page: each -1 for none."""

    request: Int64
    column: Int64
    slot: Int64
    item: Int32

    def take(self, rows: Bool) -> "_Rows":
        return _Rows(self.request[rows], self.column[rows], self.slot[rows], self.item[rows])


def views_frame(world: "World", views: Views, prefix: str) -> pl.DataFrame:
    """Events of kind "view", in time order."""
    order = np.lexsort((views.items, views.users, views.at_us))
    frame = pl.DataFrame({
        "event_id": pl.select(pl.format("{}-{}", pl.lit(prefix), pl.int_range(len(order)))).to_series(),
        "user_id": world.user_ids.gather(views.users[order] - 1), "item_id": world.item_ids.gather(views.items[order] - 1),
        "at": pl.Series(views.at_us[order]).cast(TIME), "kind": pl.repeat("view", len(order), eager=True),
    })  # fmt: skip
    return in_shape(frame, EVENTS)


def outcomes_frame(world: "World", outcome: Outcome) -> pl.DataFrame:
    """Events click, dwell (value: seconds), satisfied and purchase, each with its request and position, in time order."""
    requests, parts = outcome.requests, []
    happened = {"click": outcome.click, "dwell": outcome.click, "satisfied": outcome.satisfied, "purchase": outcome.purchase}
    for kind, where in happened.items():
        row, slot = np.nonzero(where)
        value = outcome.dwell_s[row, slot] if kind == "dwell" else np.full(len(row), np.nan)
        frame = pl.DataFrame({
            "user_id": world.user_ids.gather(requests.users[row] - 1),
            "item_id": world.item_ids.gather(outcome.shown[row, slot] - 1),
            "at": pl.Series(outcome.at_us[kind][row, slot]).cast(TIME), "value": pl.Series(value).fill_nan(None),
            "request_id": pl.Series(requests.ids[row].tolist(), dtype=pl.String), "position": slot + 1,
        })  # fmt: skip
        event_id = pl.format("{}-{}-{}", "request_id", "position", pl.lit(kind))
        parts.append(in_shape(frame.with_columns(event_id=event_id, kind=pl.lit(kind)), EVENTS))
    return pl.concat(parts).sort("at", "event_id")


def requests_frame(world: "World", outcome: Outcome) -> pl.DataFrame:
    """random: answered by the uniform policy. support: what each propensity is a share of."""
    requests, served = outcome.requests, outcome.served
    support = np.where(served.random, "recalled", np.where(served.own, "own", "considered"))
    frame = pl.DataFrame({
        "request_id": requests.ids.tolist(), "user_id": world.user_ids.gather(requests.users - 1),
        "at": pl.Series(requests.at_us).cast(TIME), "surface": requests.features["surface"].tolist(),
        "policy_id": served.policy_id.tolist(), "seed": np.full(len(requests), world.seed),
        "random": served.random, "deterministic": served.deterministic, "support": support.tolist(),
        "weekday": requests.features["weekday"],
    })  # fmt: skip
    return in_shape(frame, REQUESTS)


def candidate_frames(world: "World", outcome: Outcome) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """(candidates, truth) of some requests at a time, row for row: what was considered first."""
    for start in range(0, len(outcome.requests), _ROWS_AT_ONCE):
        rows = _rows(outcome, np.arange(start, min(start + _ROWS_AT_ONCE, len(outcome.requests))))
        stage2 = np.where(rows.column < 0, np.nan, outcome.offered.scores["stage2"][rows.request, rows.column])
        considered = ~np.isnan(stage2)
        blocks = [(2, considered), (1, ~considered & (rows.column >= 0)), (0, rows.column < 0)]
        parts = [(stages, rows.take(some)) for stages, some in blocks]
        frames = [_candidates(world, outcome, part, stages) for stages, part in parts if len(part.request)]
        truths = [_truth(world, outcome, part) for _, part in parts if len(part.request)]
        if frames:
            yield pl.concat(frames), pl.concat(truths)


def _rows(outcome: Outcome, asked: Int64) -> _Rows:
    """What is logged of the requests asked for: the offered of those that were offered some, and what else was shown."""
    offered = np.where(outcome.served.own[asked, None], 0, outcome.offered.items[asked])
    shown = outcome.shown[asked]
    same = (offered[:, :, None] == shown[:, None, :]) & (shown > 0)[:, None, :]
    slot = np.where(same.any(2), same.argmax(2), -1)
    row, column = np.nonzero(offered)
    more_row, more_slot = np.nonzero(~same.any(1) & (shown > 0))
    return _Rows(
        asked[np.concatenate([row, more_row])],
        np.concatenate([column, np.full(len(more_row), -1)]),
        np.concatenate([slot[row, column], more_slot]),
        np.concatenate([offered[row, column], shown[more_row, more_slot]]).astype(np.int32),
    )


def _candidates(world: "World", outcome: Outcome, rows: _Rows, stages: int) -> pl.DataFrame:
    """stages: how many of stage1 and stage2 scored these rows."""
    served, shown = outcome.served, rows.slot >= 0
    propensity = np.exp(served.log_prob[rows.request, rows.slot])
    drawn = shown & ~served.deterministic[rows.request]
    reached = "considered" if stages == 2 else "recalled"
    frame = pl.DataFrame({
        "request_id": pl.Series(outcome.requests.ids.tolist()).gather(rows.request),
        "item_id": world.item_ids.gather(rows.item - 1),
        "stage": pl.Series([reached, "shown"]).gather(shown.astype(np.int64)),
        "position": pl.Series(np.where(shown, rows.slot + 1, 0)).replace(0, None),
        "propensity": pl.Series(np.where(drawn, propensity, np.nan)).fill_nan(None),
        "logged_p": np.ones(len(shown)),
    })  # fmt: skip
    if stages:
        frame = frame.with_columns(scores=_scores(outcome, rows, stages))
    return in_shape(frame, CANDIDATES)


def _scores(outcome: Outcome, rows: _Rows, stages: int) -> pl.Series:
    """[{stage, score}, …]: who proposed it, then the stages that scored it."""
    scores = outcome.offered.scores
    found = np.stack([scores[name][rows.request, rows.column] for name in _SCORED], 1)
    source = (~np.isnan(found[:, : len(SOURCES)])).argmax(1)
    columns = np.concatenate(
        [source[:, None], np.tile(np.arange(stages) + len(SOURCES), (len(source), 1))], 1
    )  # places in _SCORED, [n, 1 + stages]
    flat = pl.DataFrame({
        "stage": pl.Series(_SCORED).gather(columns.ravel()),
        "score": np.take_along_axis(found, columns, 1).ravel().astype(np.float64),
    })  # fmt: skip
    return flat.to_struct().reshape(columns.shape).arr.to_list()


def _truth(world: "World", outcome: Outcome, rows: _Rows) -> pl.DataFrame:
    """True logit and expectations: of a click if looked at, of the rest given the click, and the value of it all if looked at."""
    requests = outcome.requests
    true = world.truth.chances(requests.users[rows.request], rows.item[:, None], requests.at_us[rows.request])
    names = ("logit", "click", "dwell_s", "purchase", "satisfied", "value")
    return pl.DataFrame({
        "request_id": pl.Series(requests.ids.tolist()).gather(rows.request), "item_id": world.item_ids.gather(rows.item - 1),
        **{name: getattr(true, name)[:, 0].astype(np.float32) for name in names},
    })  # fmt: skip
