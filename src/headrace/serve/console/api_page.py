"""The API's own page, /docs: every route, what it takes and answers, and a form that asks it from the page.

It is made from the server's OpenAPI and loads nothing from elsewhere. What is sent from its forms is a request like any other.
"""

from fastapi import APIRouter, Request, Response

from headrace.serve.console.api_told import Pages
from headrace.serve.console.view import Link, View
from headrace.serve.guard.scopes import SCOPES

URL = "/docs"


def routes(view: View) -> APIRouter:
    router, here = APIRouter(), Link("", "API", URL)

    @router.get(URL)
    def api(request: Request) -> Response:
        told = Pages(request.app.openapi(), str(request.base_url))
        return view.page("api.html.jinja", here=here, groups=told.groups(), schemas=told.named(), scopes=SCOPES)

    return router
