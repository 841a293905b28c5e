"""Whether the process answers, whether it should be asked, and how it fares."""

import os
import shutil

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from headrace.serve.messages import Key
from headrace.serve.serving import Serving


class Ready(BaseModel):
    """Whether requests should be sent here."""

    ready: bool = Field(description="As the status says: 200, or 503 where it is not.")
    generation: Key
    reasons: list[str] = Field(description="What stands against it; none where it is ready.")


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz", summary="Whether the process answers, and with which generation")
    def health() -> dict[str, str]:
        return {"status": "ok", "generation": serving.service.generation}

    @router.get(
        "/readyz",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "It should not be asked, and why"}},
        summary="Whether requests should be sent here",
    )
    def ready(response: Response) -> Ready:
        reasons = against(serving)
        response.status_code = 503 if reasons else 200
        return Ready(ready=not reasons, generation=serving.service.generation, reasons=reasons)

    @router.get("/metrics", response_class=PlainTextResponse, summary="Counts and latencies, for Prometheus")
    def metrics() -> Response:
        return Response(serving.metrics.text(), media_type=serving.metrics.content_type)

    return router


def against(serving: Serving) -> list[str]:
    """Reasons not to send requests here."""
    service, reasons = serving.service, []
    if serving.door.state != "open":
        reasons.append("the server was told to stop")
    free_mb = shutil.disk_usage(service.root).free / 1e6
    if free_mb < service.settings.min_free_mb:
        wanted = f"{service.settings.min_free_mb:.0f} MB are wanted ([serve] min_free_mb)"
        reasons.append(f"the disk of the logs and the state has {free_mb:.0f} MB left, {wanted}")
    if not os.access(service.root, os.W_OK):
        reasons.append("the logs' folder can't be written")
    try:
        service.state.erased([""])
    except Exception as error:  # whatever keeps the state from answering: where it lies is a setting
        reasons.append(f"the online state does not answer ({type(error).__name__})")
    silent_s, stale_s = service.state.silent_s, service.settings.stale_s
    if silent_s is not None and 0 < stale_s < silent_s:
        says = "what came since, and items deleted since at other servers, are not known here"
        reasons.append(f"Redis has not answered for {silent_s:.0f} s ([serve] stale_s = {stale_s:g}): {says}")
    return reasons
