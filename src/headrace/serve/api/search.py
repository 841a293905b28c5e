"""What fits a query."""

from typing import Any

from fastapi import APIRouter

from headrace.serve.api.failures import PROBLEMS
from headrace.serve.catalogue.messages import Hits, Search
from headrace.serve.catalogue.search import search
from headrace.serve.serving import Serving


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/search", response_model=Hits, responses=PROBLEMS, summary="Items that fit a query", name="search")
    async def searched(ask: Search) -> Any:
        return await serving.alone(search, serving.service, ask)

    return router
