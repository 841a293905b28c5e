"""Whether it answers, and how it fares."""

from fastapi import APIRouter, Response

from headrace.serve.serving import Serving


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz", summary="Whether it answers, and with which generation")
    def health() -> dict[str, str]:
        return {"status": "ok", "generation": serving.service.generation}

    @router.get("/metrics", summary="Counts and latencies, for Prometheus")
    def metrics() -> Response:
        return Response(serving.metrics.text(), media_type=serving.metrics.content_type)

    return router
