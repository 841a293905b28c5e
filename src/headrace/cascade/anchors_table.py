"""Users' anchors as a table that anybody can read: what `headrace annotate` makes of [anchors].

    user_id, rank (from 1), codes, log_prob, words of the first code         one row an anchor, users in the log's order

out.work/ keeps what was written, by history (`anchors_kept`): killed anywhere the same command goes on, and on a log that has
grown, with the writer of an earlier run (`writer_run`), it costs what is new. out is whole or not there; beside it out's .json
says as of when, by whom and how many.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from headrace import __version__
from headrace.artifacts.atomic import place, replacing
from headrace.artifacts.store import Artifact
from headrace.build.components import load_component
from headrace.build.graph import Graph
from headrace.cascade.anchors import anchor_writer, asked_of, trusted_of
from headrace.cascade.anchors_kept import Written, missing, written
from headrace.cascade.anchors_section import AnchorsPlan
from headrace.cascade.item_vectors import texts_at
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.run import open_run, planned
from headrace.cascade.semantic_ids import load_semantic_ids
from headrace.contracts.errors import ArtifactError
from headrace.contracts.progress import Progress, silent
from headrace.encode.semantic_ids.words import words_of_codes
from headrace.llm.annotation.work import alone
from headrace.methods.prerank.anchors import ANCHOR_WRITERS
from headrace.methods.prerank.anchors.writer import AnchorWriter


@dataclass(frozen=True)
class Count:
    """users: with a past, as far as can be said; to_write: histories that are not kept. fitted: whether the writer is there."""

    users: int
    to_write: int
    fitted: bool


def annotated(plan: AnchorsPlan, progress: Progress = silent) -> dict[str, Any]:
    """The summary, as it is written."""
    with alone(plan.out) as folder:
        pipeline, other = _opened(plan, progress)
        writer, cut_us = _writer(plan, pipeline, other), _cut(plan, pipeline)
        found = written(writer, pipeline.log.interactions(cut_us).history, plan.asked.n, folder, pipeline.graph.progress)
        frame = _frame(plan, pipeline, writer, found, cut_us)
        with replacing(plan.out) as beside:
            frame.write_parquet(beside)
        summary = {
            "users": found.users, "written": found.new, "anchors": len(frame), "as_of_us": max(cut_us, writer.cut_us) - 1,
            "writer": plan.asked.writer, "fingerprint": writer.fingerprint, "semantic_ids": writer.ids.fingerprint,
            "without": found.without, **asked_of(writer), "headrace": __version__,
        }  # fmt: skip
        place(plan.out.with_suffix(".json"), json.dumps(summary, indent=1) + "\n")
    return summary


def counted(plan: AnchorsPlan) -> Count:
    """What `annotated` would write. Nothing is fitted for it."""
    with alone(plan.out) as folder:
        pipeline, other = _opened(plan, silent, read_only=True)
        cut_us = _cut(plan, pipeline)
        history = pipeline.log.interactions(cut_us).history
        try:
            writer = _writer(plan, pipeline, other)
        except ArtifactError:  # what is not there would have to be fitted first, and then nothing is kept
            users = int((history.lengths > 0).sum())
            return Count(users, users, False)
        return Count(*missing(writer, history, plan.asked.n, folder), True)


def _opened(plan: AnchorsPlan, progress: Progress, *, read_only: bool = False) -> tuple[Pipeline, Pipeline | None]:
    """The run whose users they are, and the one whose writer it is where that is another."""
    if plan.asked.plan and not read_only:
        pipeline = planned(plan.folder / plan.asked.plan, plan.run, progress)
    else:
        pipeline = open_run(plan.run, read_only=read_only)
        pipeline.graph = Graph(pipeline.graph.store, progress, read_only=read_only)
    return pipeline, open_run(plan.folder / plan.asked.writer_run) if plan.asked.writer_run else None


def _writer(plan: AnchorsPlan, pipeline: Pipeline, other: Pipeline | None) -> AnchorWriter:
    """Fitted, and its semantic ids held against the log's catalogue."""
    asked, of = plan.asked, other or pipeline
    cut_us = _cut(plan, of)
    ids_us = min(cut_us, of.cuts.test_us)  # those that the run's retrievers read, where it has some
    where = f"{plan.where} [anchors.{asked.writer}]"
    fitted: Artifact = anchor_writer(of, cut_us, asked.writer, plan.settings, where=where, ids_us=ids_us)
    load_semantic_ids(of.semantic_ids(ids_us), pipeline.log)
    writer: AnchorWriter = load_component(fitted, ANCHOR_WRITERS, trusted_of(of, asked.writer))
    return writer


def _cut(plan: AnchorsPlan, pipeline: Pipeline) -> int:
    cuts = pipeline.cuts
    ends = {"prerank": cuts.prerank_us, "rank": cuts.rank_us, "test": cuts.test_us, "end": cuts.last_us + 1}
    return ends[plan.asked.until]


def _frame(plan: AnchorsPlan, pipeline: Pipeline, writer: AnchorWriter, found: Written, cut_us: int) -> pl.DataFrame:
    there = (found.codes >= 0).all(2)
    user, rank = np.nonzero(there)
    frame = pl.DataFrame({
        "user_id": pl.Series(pipeline.log.users.decode(user.astype(np.int32)), dtype=pl.String),
        "rank": pl.Series(rank + 1, dtype=pl.Int32),
        "codes": pl.Series(found.codes[there], dtype=pl.Array(pl.Int32, found.codes.shape[2])).cast(pl.List(pl.Int32)),
        "log_prob": pl.Series(found.log_prob[there], dtype=pl.Float32),
    })  # fmt: skip
    if not plan.asked.words:
        return frame
    said = words_of_codes(writer.ids, texts_at(pipeline.log, cut_us)[0], top=plan.asked.words)
    words = pl.DataFrame({
        "first": pl.Series(list(said), dtype=pl.Int32), "words": pl.Series(list(said.values()), dtype=pl.List(pl.String)),
    })  # fmt: skip
    return (
        frame.with_columns(first=pl.col("codes").list.first())
        .join(words, on="first", how="left", maintain_order="left")
        .drop("first")
    )
