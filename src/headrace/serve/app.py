"""The service over HTTP; its own pages are at /docs. Routes are in `api`, what stands before them is put together here."""

import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from headrace import __version__
from headrace.contracts.errors import MissingExtra
from headrace.contracts.serving import ServeConfig
from headrace.flywheel.opened import open_live

try:
    from fastapi import FastAPI
except ImportError:
    raise MissingExtra("fastapi", "serve", "Serving") from None

from headrace.serve.api import events, experiments, explain, generations, health, items, recommend, search, users
from headrace.serve.api.described import describe
from headrace.serve.api.failures import handle_failures
from headrace.serve.api.straight import Straight
from headrace.serve.console.pages import pages
from headrace.serve.guard.around import guard
from headrace.serve.live.flights import Aboard
from headrace.serve.live.holder import Live
from headrace.serve.messages import Ask
from headrace.serve.service import Service
from headrace.serve.serving import Serving
from headrace.serve.workers.seat import ALONE, Seat

_TURN_S = 0.001
"""How long the log's thread may hold the interpreter while an answer waits for it; 5 ms by default."""
ROUTES = (recommend, events, items, search, explain, health, generations, experiments, users)


def open_service(
    folder: Path,
    settings: ServeConfig | None = None,
    now_us: Callable[[], int] | None = None,
    *,
    seat: Seat = ALONE,
    **other: Any,
) -> Service:  # fmt: skip
    """folder: of a finished build; what is served is logged in its `served`. other: keys that are not as the settings say."""
    pipeline = open_live(folder, as_built=True)
    return Service(pipeline, folder / "served", replace(settings or pipeline.plan.serve, **other), now_us, seat=seat)


def create_app(
    folder: Path,
    settings: ServeConfig | None = None,
    now_us: Callable[[], int] | None = None,
    *,
    seat: Seat = ALONE,
    **other: Any,
) -> FastAPI:  # fmt: skip
    """The logs are flushed when the app shuts down, after the answers in flight. seat: which of a server's processes this is."""
    torch.set_num_threads(1)  # an answer's tensors are too small for two
    sys.setswitchinterval(_TURN_S)
    live = Live(folder, open_service(folder, settings, now_us, seat=seat, **other))
    try:
        live.begin()
    except BaseException:
        live.close()
        raise
    serving = Serving(folder, live)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        gc.collect()
        gc.freeze()  # what was loaded stays: a collection that looked through it would be some answer's delay
        yield
        serving.close()

    app = FastAPI(
        title="Headrace", version=__version__, lifespan=lifespan,
        description="Pages with the reason and the chance of each item, events in, explanations of pages given.",
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.serving = serving
    for one in ROUTES:
        app.include_router(one.routes(serving))
    app.include_router(pages(serving))
    app.router.routes.insert(0, Straight(recommend.PATH, Ask, recommend.recommend(serving), app.router))
    handle_failures(app)
    describe(app)
    app.add_middleware(Aboard, flights=live.open.flights)
    guard(app, serving)
    return app
