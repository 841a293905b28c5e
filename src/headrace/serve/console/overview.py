"""How the server fares: traffic, errors, latency by stage, health, and the generation that answers. Refreshed while it is looked at."""

from fastapi import APIRouter, Response

from headrace.serve.console.view import Link, View

LINK = Link("", "Overview")


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    def overview() -> Response:
        return view.page("overview.html.jinja", here=LINK)

    return router
