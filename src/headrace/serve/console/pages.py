"""All pages of the console, in the order of their links, and the API's own page.

A page is a module: `LINK`, and `routes(view) -> APIRouter` with paths from `LINK.url` on.
"""

from fastapi import APIRouter

from headrace.serve.console import (
    annotations,
    api_page,
    assets,
    data,
    evaluation,
    explorer,
    funnel,
    ids,
    items,
    jobs,
    overview,
    releases,
)
from headrace.serve.console.view import View
from headrace.serve.serving import Serving

PAGES = (overview, explorer, items, funnel, evaluation, releases, jobs, data, ids, annotations)


def pages(serving: Serving) -> APIRouter:
    view = View(serving, [one.LINK for one in PAGES])
    router = APIRouter(include_in_schema=False)
    router.include_router(assets.routes())
    router.include_router(api_page.routes(view))
    for one in PAGES:
        router.include_router(one.routes(view))
    return router
