"""Work that goes on in this run, whoever began it, and in folders beside it: builds, turns of the flywheel, annotations, tuning.

    RUN/store   RUN/**/NAME.parquet.work   BESIDE/store   BESIDE/NAME.parquet.work   BESIDE/reproduce/NAME/BUDGET/store

Each process tells its own there (`artifacts/at_work.py`). The page reads those files and clears none away.
"""

import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from fastapi import APIRouter, Response

from headrace.artifacts.at_work import Job, jobs
from headrace.serve.console.view import Link, View

LINK = Link("/jobs", "Jobs")
_BESIDE = ("*/store", "*.parquet.work", "reproduce/*/*/store")
_MOST = 500
"""Folders beside the run that are looked into."""


def routes(view: View) -> APIRouter:
    router = APIRouter()

    def show(template: str, *, still: bool) -> Response:
        return view.page(template, here=LINK, still=still, jobs=at_work_near(view.serving.folder), now_s=time.time())

    @router.get(LINK.url)
    def page(still: bool = False) -> Response:
        return show("jobs.html.jinja", still=still)

    @router.get(LINK.url + "/running")
    def running() -> Response:
        return show("jobs_running.html.jinja", still=False)

    return router


def at_work_near(run: Path) -> list[tuple[str, Job]]:
    """(where, "" in the run's store; job), the run's own first."""
    return [(where, job) for where, root in _places(run.resolve()) for job in jobs(root)]


def _places(run: Path) -> Iterator[tuple[str, Path]]:
    yield "", run / "store"
    for path in sorted(run.rglob("*.parquet.work")):
        yield path.relative_to(run).as_posix(), path
    beside = chain.from_iterable(run.parent.glob(pattern) for pattern in _BESIDE)
    for path in islice(beside, _MOST):
        if run not in path.parents:
            yield path.relative_to(run.parent).as_posix(), path
