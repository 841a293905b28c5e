"""One test window, ready to judge any lists: what was right, the slices, and what there is to know of the catalogue."""

from collections.abc import Mapping, Sequence

import polars as pl

from headrace.cascade.categories import category_bags
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.requests import History, Requests
from headrace.evaluate.beyond import Catalogue
from headrace.evaluate.compare import compare
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.rows import Row
from headrace.evaluate.slices import standard_slices

BEYOND_K = 10  # coverage, novelty, gini and diversity are of the top ten, whatever the plan's metrics are
_CATEGORIES = 5  # the commonest each get a slice; more would cost every comparison of the table through Holm's adjustment


class Judge:
    """requests, answers: what everything in the tables was asked, and what was right."""

    def __init__(self, pipeline: Pipeline, requests: Requests, answers: History):
        self.pipeline, self.requests = pipeline, requests
        self.relevant = Relevant.from_pairs(answers.rows(), answers.items, len(requests))
        cut_us = pipeline.cuts.test_us
        counts = pipeline.log.interactions(cut_us).item_counts()
        names, bags = category_bags(pipeline.log)
        self.catalogue = Catalogue(pipeline.log.available(cut_us), counts, bags, k=BEYOND_K)
        self.slices = standard_slices(
            self.relevant,
            requests.history.lengths,
            counts,
            categories=pl.Series(names.decode(bags.ravel()), dtype=pl.String).reshape(bags.shape).arr.to_list(),
            names=tuple(names.ids.head(_CATEGORIES)),
        )

    def rows(
        self, stage: str, lists: Mapping[str, RankedLists], further: Sequence[str] = (), *, baseline: str | None = None
    ) -> list[Row]:
        """One table: methods that answered the same requests, against one baseline (the plan's) and further ones, by slice."""
        evaluate = self.pipeline.plan.evaluate
        return compare(
            lists,
            self.relevant,
            stage=stage,
            split=self.pipeline.split_name,
            baseline=baseline or evaluate.baseline,
            further=further,
            metrics=evaluate.metrics,
            slices=self.slices,
            catalogue=self.catalogue,
            seed=evaluate.seed,
            resamples=evaluate.resamples,
        )
