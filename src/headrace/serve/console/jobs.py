"""Work that goes on in this run's store, whoever began it: a build, an evaluation, a turn of the flywheel from the command line.

Each process tells its own in the store (`artifacts/at_work.py`). The page reads those files and clears none away.
"""

import time

from fastapi import APIRouter, Response

from headrace.artifacts.at_work import jobs
from headrace.serve.console.view import Link, View

LINK = Link("/jobs", "Jobs")


def routes(view: View) -> APIRouter:
    router = APIRouter()

    def show(template: str, *, still: bool) -> Response:
        found = jobs(view.serving.folder / "store")
        return view.page(template, here=LINK, still=still, jobs=found, now_s=time.time())

    @router.get(LINK.url)
    def page(still: bool = False) -> Response:
        return show("jobs.html.jinja", still=still)

    @router.get(LINK.url + "/running")
    def running() -> Response:
        return show("jobs_running.html.jinja", still=False)

    return router
