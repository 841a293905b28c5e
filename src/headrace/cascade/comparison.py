"""Methods side by side on the cascade's own test requests: our retrievers, or another system's answers."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from headrace.cascade.evaluation import deepest, test_requests, wide
from headrace.cascade.join import stacked
from headrace.cascade.judge import Judge
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Candidates
from headrace.contracts.tables import TIME
from headrace.evaluate.lists import RankedLists
from headrace.evaluate.rows import Row
from headrace.evaluate.trec import key_of, read_run

_AT_ONCE = 256


def compare_retrievers(pipeline: Pipeline, names: Sequence[str]) -> list[Row]:
    """Each fitted up to the test window and asked alone, the baseline among them."""
    requests, answers = test_requests(pipeline)
    wanted = deepest(pipeline)
    retrievers = {name: pipeline.load_retriever(name, final=True) for name in names}
    parts: dict[str, list[Candidates]] = {name: [] for name in names}
    for rows, part in requests.chunks(_AT_ONCE):
        for name, retriever in retrievers.items():
            parts[name].append(retriever.retrieve(part, wanted, pipeline.allowed(part, pipeline.cuts.test_us)))
        pipeline.graph.progress("evaluate", rows.stop, len(requests))
    lists = {name: RankedLists(requests.users, wide(stacked(found).items, wanted)) for name, found in parts.items()}
    return Judge(pipeline, requests, answers).rows("retrieve", lists)


def judge_run(pipeline: Pipeline, path: Path, name: str) -> list[Row]:
    """Another system's ranked lists (Parquet: request_id or user_id, item_id, rank or score) on the same requests."""
    requests, answers = test_requests(pipeline)
    wanted = deepest(pipeline)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. Write the requests with --requests, answer them, then name the answers.")
    by_user = key_of(path) == "user_id"
    keys = [key or "" for key in pipeline.log.users.decode(requests.users)] if by_user else requests.ids.tolist()
    theirs = read_run(path, users=requests.users, keys=keys, encode=pipeline.log.items.encode, depth=wanted)
    baseline = pipeline.plan.evaluate.baseline
    ours = pipeline.load_retriever(baseline, final=True)
    parts = [ours.retrieve(part, wanted, pipeline.allowed(part, pipeline.cuts.test_us)) for _, part in requests.chunks(_AT_ONCE)]
    name = f"{name} (theirs)" if name == baseline else name
    lists = {baseline: RankedLists(requests.users, wide(stacked(parts).items, wanted)), name: theirs}
    return Judge(pipeline, requests, answers).rows("run", lists)


def write_requests(pipeline: Pipeline, path: Path) -> None:
    """What another system has to answer: request_id, user_id, at, and the history as of then (item ids, oldest first).

    No `at` where the split counts steps in place of times.
    """
    requests, _ = test_requests(pipeline)
    past = requests.history
    items = pl.Series("item_id", pipeline.log.items.decode(past.items), dtype=pl.String)
    histories = pl.DataFrame({"row": past.rows(), "item_id": items}).group_by("row", maintain_order=True).agg("item_id")
    table = pl.DataFrame({
        "request_id": requests.ids, "user_id": pipeline.log.users.decode(requests.users), "at": requests.at_us,
    }).with_row_index("row")  # fmt: skip
    whole = table.join(histories.with_columns(pl.col("row").cast(pl.UInt32)), on="row", how="left", maintain_order="left")
    named = whole.drop("row").rename({"item_id": "history"}).with_columns(pl.col("at").cast(TIME))
    if pipeline.log.clock == "ordinal":
        named = named.drop("at")
    temporary = path.with_name(f".{path.name}.tmp")
    named.write_parquet(temporary)
    temporary.replace(path)
