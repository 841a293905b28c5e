"""A page for a user."""

import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

from fastapi import APIRouter, Response
from starlette.background import BackgroundTask

from headrace.cascade.sparing import never
from headrace.serve.api.failures import PROBLEMS
from headrace.serve.catalogue.short_pages import said_of_filters
from headrace.serve.given import Given
from headrace.serve.guard.deadline import Deadline
from headrace.serve.messages import Ask, Page
from headrace.serve.service import Service
from headrace.serve.serving import Serving
from headrace.serve.state.recent import Assigned

PATH = "/v1/recommend"


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()
    router.add_api_route(
        PATH, recommend(serving), methods=["POST"], response_model=Page, responses=PROBLEMS, summary="A page for a user"
    )
    return router


def recommend(serving: Serving) -> Callable[[Ask], Awaitable[Response]]:
    """Answers what was asked."""

    async def recommend(ask: Ask) -> Response:
        request_id = ask.request_id or uuid4().hex
        service, assigned = serving.live.chosen(ask.user_id, request_id)
        page, given = await serving.alone(_page, service, ask, request_id, assigned, time.perf_counter())

        async def sent() -> None:
            serving.live.sent(given, service)

        body = page.model_dump_json()  # as it is: not checked and copied once more
        return Response(body, media_type="application/json", background=BackgroundTask(sent))

    return recommend


def _page(service: Service, ask: Ask, request_id: str, assigned: Assigned | None, arrived: float) -> tuple[Page, Given]:
    """assigned: the arm whose generation it is. arrived: since when its deadline runs, the wait for its turn included."""
    started = time.perf_counter()
    within_ms = ask.deadline_ms or service.settings.deadline_ms
    with service.state.looking(ask.user_id, request_id):
        given = service.recommend(
            ask.user_id, request_id, seed=ask.seed, n=ask.n, exclude=ask.exclude, surface=ask.surface, preference=ask.preference,
            filters=ask.filters,
            skips=Deadline(service.times, arrived + within_ms / 1000).skips if within_ms else never, assigned=assigned,
        )  # fmt: skip
    page = Page(
        request_id=request_id,
        generation=given.generation,
        policy_deterministic=given.deterministic,
        items=[one.as_dict() for one in given.page],  # type: ignore[misc]  # checked with the page, all at once
        latency_ms=round(1000 * (time.perf_counter() - started), 2),
        degraded=list(given.asked.skipped),
        said=said_of_filters(service, given),
        experiment=None if given.assigned is None else given.assigned.experiment,
        arm=None if given.assigned is None else given.assigned.arm,
    )
    return page, given
