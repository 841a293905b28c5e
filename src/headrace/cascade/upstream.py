"""A finished build's frozen upstream ranker, run over all that its log shows, in the order of time. No label is read.

    upstream = Upstream.of(open_live(run))
    for samples, values in upstream.runs(progress, "what"):
        values["CR2"]                    # [N, width]: what the upstream made of samples.start .. samples.stop

A request is asked again as of its moment, with the features and the history of then. A sample is an item that was shown for it;
samples stand in the order of time, those of one request in that of their positions. Users who refuse training or to be
personalised for, by their last word, have no part in it, nor have their samples in what is known of items; erased ones are in no
log, and a build that still knew them can't be opened.
Cost: the ranker's pass over each sample once, in parts of 512 requests.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl
import torch

from headrace.build.components import component_class
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.plan import trusted
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.progress import Progress
from headrace.contracts.requests import Bool, Float32, Int32, Int64, Requests
from headrace.data.consent import Impersonal, refusing_users
from headrace.data.rank_inputs import user_batch
from headrace.methods.rank import RANKERS
from headrace.methods.rank.foundation import FoundationRanker

_AT_ONCE, _LAST_WORD = 512, 2**62


@dataclass(frozen=True)
class Frozen:
    """A ranker and what it is run over. users, at_us [R]: requests in the order of time. items [R, S]: what was shown for each, 0
    behind the last. requests_of(users, at_us): all that is known of requests as of their moments. n_users, n_items: number 0
    among them."""

    ranker: FoundationRanker
    users: Int32
    at_us: Int64
    items: Int32
    requests_of: Callable[[Int32, Int64], Requests]
    n_users: int
    n_items: int

    def __len__(self) -> int:
        return len(self.users)

    def only(self, wanted: Bool) -> Self:
        """wanted [R]: of the requests."""
        return replace(self, users=self.users[wanted], at_us=self.at_us[wanted], items=self.items[wanted])

    @cached_property
    def samples(self) -> tuple[Int64, Int32, Int32, Int64]:
        """Of each: its request, user, item and moment, [N]."""
        rows, columns = np.nonzero(self.items)
        return rows, self.users[rows], self.items[rows, columns], self.at_us[rows]

    def runs(self, progress: Progress, what: str) -> Iterator[tuple[slice, dict[str, Float32]]]:
        """A range of the samples, and what the ranker says of them: UR, IR, CR0 .. CRk, [N, width] each."""
        done = 0
        for start in range(0, len(self), _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, len(self)))
            requests = self.requests_of(self.users[part], self.at_us[part])
            items = torch.from_numpy(self.items[part].astype(np.int64))
            with torch.inference_mode():
                state = self.ranker.user(user_batch(requests, self.ranker.schema))
                found = self.ranker.extract(state, {"items": items})
                values = {name: one[items > 0].numpy() for name, one in found.items()}
            samples = slice(done, done + len(values["UR"]))
            yield samples, values
            done = samples.stop
            progress(what, part.stop, len(self))

    def of_items(self, items: Int32) -> Float32:
        """IR, [N, width]."""
        with torch.inference_mode():
            found: Float32 = self.ranker.items(torch.from_numpy(items.astype(np.int64))).numpy()
        return found


@dataclass(frozen=True)
class Upstream(Frozen):
    """A finished build's."""

    pipeline: Pipeline

    @classmethod
    def of(cls, pipeline: Pipeline) -> "Upstream":
        """ConfigError where its ranker is another, DataError where nothing was shown to anybody who may be learned from."""
        plan = pipeline.plan
        if not issubclass(component_class(plan.rank.use, RANKERS, plan.where, trusted(plan)), FoundationRanker):
            raise ConfigError(
                f'{plan.where} [rank]: "{plan.rank.use}" keeps nothing that can be handed on. Build a plan with use = '
                '"foundation", learn_from = "impressions" and two tasks or more, and take that run.'
            )
        shown = _shown(pipeline)
        if not len(shown):
            raise DataError(
                f"{plan.where}: its log shows nothing to anybody who may be learned from, so there is nothing to hand on. Log "
                "requests and candidates, and see who refuses in users."
            )
        rows = shown["request_id"].rle_id().to_numpy().astype(np.int64)
        begins = np.flatnonzero(np.diff(rows, prepend=-1))
        columns = np.arange(len(rows)) - begins[rows]
        items = np.zeros((len(begins), int(columns.max()) + 1), np.int32)
        items[rows, columns] = pipeline.log.items.encode(shown["item_id"])
        users = pipeline.log.users.encode(shown["user_id"].gather(begins))
        return cls(
            pipeline.scoring("rank").scorer, users, shown["at"].gather(begins).to_numpy(), items, pipeline.requests_of,
            len(pipeline.log.users), len(pipeline.log.items), pipeline,
        )  # fmt: skip


def left_out(pipeline: Pipeline) -> pl.DataFrame:
    """Who has no part: one column, user_id."""
    tables = pipeline.tables.path
    impersonal = Impersonal(tables)
    refused = refusing_users(tables, _LAST_WORD)["user_id"].to_list()
    refused += [user for user in pipeline.log.users.ids if impersonal.holds(user, _LAST_WORD)]
    return pl.DataFrame({"user_id": pl.Series(refused, dtype=pl.String)}).unique()


def _shown(pipeline: Pipeline) -> pl.DataFrame:
    """request_id, user_id, item_id, at [us], in the order of samples."""
    tables = pipeline.tables.path
    asked = pl.scan_parquet(tables / "requests.parquet", glob=False).select(
        "request_id", "user_id", pl.col("at").dt.timestamp("us")
    )
    asked = asked.join(left_out(pipeline).lazy(), on="user_id", how="anti")
    shown = pl.scan_parquet(tables / "candidates.parquet", glob=False).filter(pl.col("stage") == "shown")
    rows = shown.select("request_id", "item_id", "position").join(asked, on="request_id")
    return rows.sort("at", "request_id", "position", "item_id", nulls_last=True).collect(engine="streaming")
