"""Candidate lists of what was shown: labelled impressions, each among all that the retrievers propose for its request.

A logged request is asked again as of its moment. What was shown joins the proposals with the scores that the retrievers and the
pre-ranker give it, NaN where they do not propose it, and its labels alone are known. The others stay in the list, because a
score is read beside those of the whole list: so a ranker sees at training what it sees when serving. (Beyond the pre-ranker's
best, shown items that it would have dropped are kept too.)

Of several tasks the first is the main one: impressions whose window for it has closed are there, each labelled by every task,
NaN where its window for another has not. Shapes: requests R, shown S, candidates C. Cost of a task more: one join, and O(R C S)
comparisons to place its labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from headrace.cascade.first_slots import drawn_p
from headrace.cascade.join import stacked
from headrace.cascade.scoring import SHOWN, Scoring, score, with_pairs
from headrace.contracts.errors import DataError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Float32, Int32, Int64, Requests
from headrace.contracts.rng import rng
from headrace.data.features import Features
from headrace.data.labels import Labels, TaskConfig, labels_of
from headrace.data.log import Log
from headrace.data.rank_inputs import LABEL_OF

_AT_ONCE = 512
_KEY = ["request_id", "item_id"]

Proposing = Callable[[Requests, Candidates], Candidates]
"""Requests and what was shown for them (`scoring.propose`) to all candidates."""


@dataclass(frozen=True)
class Impressions:
    """Requests of a window and what was shown for them: users, at_us [R]; items, label [R, S], 0 behind the last.

    counts: impressions of the window, censored ones among them, labelled, positive, outcomes, uncredited, undone; all of them,
    whereas the requests may be a sample. drawn_p [R, S]: of the first slot's item, the chance with which it was drawn, NaN where
    that is not known. tasks, of_tasks: of several tasks, each one's labels [R, S] and counts, labelled and positive being of the
    impressions that are there; `label` and `counts` are the first's. None where there is one.
    """

    users: Int32
    at_us: Int64
    items: Int32
    label: Float32
    counts: dict[str, int]
    drawn_p: Float32
    tasks: Mapping[str, Float32] = field(default_factory=dict)
    of_tasks: Mapping[str, dict[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def between(
        cls, tables: Path, log: Log, tasks: Mapping[str, TaskConfig], start_us: int, end_us: int, most: int
    ) -> "Impressions":
        """Those at or after the start whose window closed by the end, labelled by what was known before it.

        tasks: what may become of them, the main task first. most: requests at most, a seeded sample of more.
        """
        names = list(tasks)
        labels = labels_of(tables, tasks[names[0]], end_us, start_us)
        rows, counts = labels.rows.rename({"label": LABEL_OF + names[0]}), {names[0]: _counts(labels)}
        for name in names[1:]:
            others = labels_of(tables, tasks[name], end_us, start_us)
            found = others.rows.select(*_KEY, pl.col("label").alias(LABEL_OF + name))
            rows = rows.join(found, on=_KEY, how="left", maintain_order="left")
            there = rows[LABEL_OF + name].drop_nulls()
            counts[name] = {**_counts(others), "labelled": len(there), "positive": int(there.sum())}
        rows = rows.with_columns(drawn_p(tables, rows))
        number = pl.col("request_id").rle_id().cast(pl.Int64)  # of the request: its rows stand side by side
        rows = rows.with_columns(request=number)
        chosen = rng(log.seed, "impressions", start_us, end_us).permutation(rows["request"].n_unique())[:most]
        rows = rows.filter(pl.col("request").is_in(np.sort(chosen).tolist())).with_columns(
            request=pl.col("request").rle_id().cast(pl.Int64)
        )
        # In the order of item ids: what a retriever scored alike must not be ranked by where it was shown.
        place = pl.int_range(pl.len()).over("request")
        row, column = rows["request"].to_numpy(), rows.select(place.alias("place"))["place"].to_numpy()
        size = (int(row.max(initial=-1)) + 1, int(column.max(initial=0)) + 1)

        def placed(name: str, empty: float) -> Float32:
            values = np.full(size, empty, np.float32)
            values[row, column] = rows[name].cast(pl.Float32).fill_null(np.nan).to_numpy()
            return values

        items = np.zeros(size, np.int32)
        items[row, column] = log.items.encode(rows["item_id"])
        several = {name: placed(LABEL_OF + name, np.nan) for name in names} if len(names) > 1 else {}
        first = rows.filter(pl.col("request").is_first_distinct())
        return cls(
            log.users.encode(first["user_id"]), first["at_us"].to_numpy(), items, placed(LABEL_OF + names[0], 0.0),
            counts[names[0]], placed("drawn_p", np.nan), several, counts if several else {},
        )  # fmt: skip

    def lists(
        self, requests: Requests, proposing: Proposing, scorings: Sequence[Scoring], features: Features,
        progress: Callable[[int, int], None],
    ) -> CandidateLists:  # fmt: skip
        """requests: these ones, resolved as of their moments. scorings: the stages before the one that learns."""
        found = []
        for rows, part in requests.chunks(_AT_ONCE):
            shown = Candidates(self.items[rows], {SHOWN: self.label[rows]})
            candidates = with_pairs(features, part, proposing(part, shown))
            for scoring in scorings:
                whole = replace(scoring, keep=candidates.items.shape[1])
                candidates = _best_or_shown(score([whole], part, candidates), scoring.keep)
            found.append(candidates)
            progress(rows.stop, len(requests))
        candidates = stacked(found)
        scores = dict(candidates.scores)
        label = scores.pop(SHOWN)
        known = ~np.isnan(label) & candidates.there
        tasks = {name: self.among(candidates.items, values) for name, values in self.tasks.items()}
        first = np.where(known, label, 0).astype(np.float32)
        return CandidateLists(requests, Candidates(candidates.items, scores), first, known, tasks)

    def among(self, items: Int32, values: Float32) -> Float32:
        """values [R, S] of what was shown, each in its item's place among the candidates' items [R, C]; NaN elsewhere."""
        found = np.full(items.shape, np.nan, np.float32)
        for start in range(0, len(items), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            same = (items[rows, :, None] == self.items[rows, None]) & (items[rows, :, None] > 0)
            theirs = np.take_along_axis(values[rows], same.argmax(2), 1)
            found[rows] = np.where(same.any(2), theirs, np.nan)
        return found


def need_positives(impressions: Impressions, tasks: Mapping[str, TaskConfig], where: str) -> None:
    """DataError where there is nothing to learn, of one of several tasks by its name."""
    if not impressions.of_tasks:
        _need_positive(impressions.counts, next(iter(tasks.values())), where)
    for name, counts in impressions.of_tasks.items():
        _need_positive(counts, tasks[name], f'{where}: task "{name}"')


def _need_positive(counts: Mapping[str, int], task: TaskConfig, where: str) -> None:
    if not counts["labelled"]:
        raise DataError(
            f"{where}: its window has {counts['impressions']:,} impressions and none that can be labelled: "
            f"{counts['censored']:,} are censored, with less than {task.window_h:g} hours between them and the window's end. "
            "Log requests and candidates, shorten window_h, or give the stage a larger share in [split]."
        )
    if not counts["positive"]:
        raise DataError(
            f'{where}: none of the {counts["labelled"]:,} impressions of its window led to "{task.event}" in {task.window_h:g} '
            f"hours; {counts['outcomes']:,} such events are there. Lengthen it, or see that users and items are named alike."
        )


def proposed_share(lists: CandidateLists, retrievers: Sequence[str]) -> float:
    """Of the items that were shown and led to what is learned, the share that a retriever proposes."""
    positive = lists.label > 0
    proposed = np.any([~np.isnan(lists.candidates.scores[name]) for name in retrievers], axis=0)
    return float(proposed[positive].mean()) if positive.any() else 0.0


def _best_or_shown(candidates: Candidates, keep: int) -> Candidates:
    """Of candidates in their order: the first so many, and what was shown."""
    kept = candidates.there & ((np.arange(candidates.items.shape[1]) < keep) | ~np.isnan(candidates.scores[SHOWN]))
    order = np.argsort(~kept, axis=1, kind="stable")[:, : max(int(kept.sum(1).max(initial=0)), 1)]
    rows = np.arange(len(candidates))[:, None]
    scores, features = ({name: v[rows, order] for name, v in of.items()} for of in (candidates.scores, candidates.features))
    return Candidates(np.where(kept, candidates.items, 0)[rows, order], scores, features)


def _counts(labels: Labels) -> dict[str, int]:
    return {
        "impressions": labels.impressions, "censored": labels.censored, "labelled": len(labels.rows),
        "positive": int(labels.rows["label"].sum()), "outcomes": labels.outcomes, "uncredited": labels.uncredited,
        "undone": labels.undone,
    }  # fmt: skip
