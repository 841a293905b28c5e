"""What users did."""

from typing import Any

from fastapi import APIRouter

from headrace.serve.api.failures import PROBLEMS
from headrace.serve.messages import Events, Received
from headrace.serve.serving import Serving


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/events", response_model=Received, responses=PROBLEMS, summary="What users did: one event or a list")
    def events(sent: Events) -> Any:
        several = isinstance(sent, list)
        return serving.service.receive(sent if isinstance(sent, list) else [sent], one=not several)

    return router
