"""A page for a user."""

import time
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Response

from headrace.serve.api.failures import PROBLEMS
from headrace.serve.messages import Ask, Page, Shown
from headrace.serve.service import Service
from headrace.serve.serving import Serving


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/recommend", response_model=Page, responses=PROBLEMS, summary="A page for a user")
    async def recommend(ask: Ask) -> Any:
        page: Page = await serving.alone(_page, serving.service, ask)
        return Response(page.model_dump_json(), media_type="application/json")  # as it is: not checked and copied once more

    return router


def _page(service: Service, ask: Ask) -> Page:
    started = time.perf_counter()
    request_id = ask.request_id or uuid4().hex
    given = service.recommend(
        ask.user_id, request_id, seed=ask.seed, n=ask.n, exclude=ask.exclude, surface=ask.surface, preference=ask.preference
    )
    return Page(
        request_id=request_id,
        generation=service.generation,
        policy_deterministic=service.cascade.deterministic,
        items=[Shown(**one.as_dict()) for one in given.page],
        latency_ms=round(1000 * (time.perf_counter() - started), 2),
    )
