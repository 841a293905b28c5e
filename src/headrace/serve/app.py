"""The service over HTTP: recommend, events, explain, health and metrics; its own pages are at /docs.

Answers are worked out one at a time, in a thread of their own: two at once on one core would both take twice as long, and events,
health and metrics are answered meanwhile.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from headrace import __version__
from headrace.contracts.errors import MissingExtra
from headrace.contracts.serving import ServeConfig
from headrace.flywheel.opened import open_live
from headrace.serve.explain import explain
from headrace.serve.messages import Ask, Event, Events, Explanation, Failed, Page, Received, Refused, Shown, first_problem
from headrace.serve.metrics import Metrics
from headrace.serve.service import Service

try:
    from fastapi import FastAPI, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
except ImportError:
    raise MissingExtra("fastapi", "serve", "Serving") from None

_TURN_S = 0.001
"""How long the log's thread may hold the interpreter while an answer waits for it; 5 ms by default."""
_PROBLEMS: dict[int | str, dict[str, Any]] = {422: {"model": Failed, "description": "Which field can't be used, and why"}}


def open_service(folder: Path, settings: ServeConfig | None = None, now_us: Callable[[], int] | None = None) -> Service:
    """folder: of a finished build; what is served is logged in its `served`."""
    return Service(open_live(folder), folder / "served", settings, now_us)


def create_app(folder: Path, settings: ServeConfig | None = None, now_us: Callable[[], int] | None = None) -> FastAPI:
    """The logs are flushed when the app shuts down, after the answers in flight."""
    torch.set_num_threads(1)  # an answer's tensors are too small for two
    sys.setswitchinterval(_TURN_S)
    service = open_service(folder, settings, now_us)
    answering = ThreadPoolExecutor(1, thread_name_prefix="answers")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        gc.collect()
        gc.freeze()  # what was loaded stays: a collection that looked through it would be some answer's delay
        yield
        answering.shutdown(wait=True)
        service.close()

    app = FastAPI(
        title="Headrace", version=__version__, lifespan=lifespan,
        description="Pages with the reason and the chance of each item, events in, explanations of pages given.",
    )  # fmt: skip
    app.state.service = service

    async def alone(work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(answering, work, *arguments)

    @app.post("/v1/recommend", response_model=Page, responses=_PROBLEMS, summary="A page for a user")
    async def recommend(ask: Ask) -> Any:
        page: Page = await alone(_page, service, ask)
        return Response(page.model_dump_json(), media_type="application/json")  # as it is: not checked and copied once more

    @app.post("/v1/events", response_model=Received, responses=_PROBLEMS, summary="What users did: one event or a list")
    def events(sent: Events) -> Any:
        several = isinstance(sent, list)
        return service.receive(sent if isinstance(sent, list) else [sent], one=not several)

    @app.get(
        "/v1/explain/{request_id}",
        response_model=Explanation,
        responses={404: {"model": Failed}},
        summary="Why a page was as it was",
    )
    async def explained(request_id: str) -> Any:
        found = await alone(explain, service, request_id)
        if found is None:
            raise Refused("request_id", f'"{request_id}" is neither a recent request nor in the log.', status=404)
        return found

    @app.get("/healthz", summary="Whether it answers, and with which generation")
    def health() -> dict[str, str]:
        return {"status": "ok", "generation": service.generation}

    @app.get("/metrics", summary="Counts and latencies, for Prometheus")
    def metrics() -> Response:
        return Response(service.metrics.text(), media_type=service.metrics.content_type)

    app.add_middleware(_Counted, metrics=service.metrics)

    @app.exception_handler(RequestValidationError)
    async def unusable(request: Request, error: RequestValidationError) -> JSONResponse:
        model = Event if request.url.path == "/v1/events" else Ask
        return JSONResponse(Failed(error=first_problem(error, model)).model_dump(), 422)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse(Failed(error=error.problem).model_dump(), error.status)

    return app


class _Counted:
    """Each answer by route and status."""

    def __init__(self, app: Any, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def sent(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            self.metrics.answered(getattr(scope.get("route"), "path", "unknown"), status)


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
