"""A build's cascade over HTTP: POST /v1/recommend answers with a page, its propensities and its reasons.

Answers are a pure function of (generation, request id, seed), so a request sent again gets the same page.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from headrace import __version__
from headrace.cascade.answers import answer
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.run import open_run
from headrace.contracts.errors import MissingExtra

try:
    from fastapi import FastAPI
    from pydantic import BaseModel, Field
except ImportError:
    raise MissingExtra("fastapi", "serve", "Serving") from None


class Ask(BaseModel):
    """Whom the page is for. request_id: send it again to get the same page; a new one is made where it is missing."""

    user_id: str = Field(min_length=1, max_length=10_000, examples=["42"])
    request_id: str | None = Field(default=None, max_length=200)
    seed: int = Field(default=0, ge=0, lt=2**63)


class Shown(BaseModel):
    position: int
    item_id: str
    title: str
    propensity: float
    rank: int
    reasons: list[str]


class Page(BaseModel):
    request_id: str
    generation: str
    policy_deterministic: bool
    items: list[Shown]
    latency_ms: float


def create_app(folder: Path, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> FastAPI:
    """folder: of a finished build. now_us: the clock, UTC microseconds."""
    pipeline: Pipeline = open_run(folder)
    cascade, log = pipeline.cascade(), pipeline.log
    app = FastAPI(title="Headrace", version=__version__, description="One page a request, with the reasons of each item.")

    @app.post("/v1/recommend", response_model=Page, summary="A page for a user")
    def recommend(ask: Ask) -> Any:
        started = time.perf_counter()
        request_id = ask.request_id or uuid4().hex
        requests = pipeline.requests_of(log.users.encode([ask.user_id]), np.array([now_us()]), ids=[request_id])
        page = answer(cascade, log, requests, seed=ask.seed)[0]
        return Page(
            request_id=request_id,
            generation=cascade.policy_id,
            policy_deterministic=cascade.deterministic,
            items=[Shown(**one.as_dict()) for one in page],
            latency_ms=round(1000 * (time.perf_counter() - started), 2),
        )

    @app.get("/healthz", summary="Whether it answers, and with which generation")
    def health() -> dict[str, str]:
        return {"status": "ok", "generation": cascade.policy_id}

    return app
