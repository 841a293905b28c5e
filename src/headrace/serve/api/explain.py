"""Why a page was as it was."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from headrace.serve.explain import explain
from headrace.serve.messages import Explanation, Failed, Refused
from headrace.serve.serving import Serving


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.get(
        "/v1/explain/{request_id:any_id}",
        response_model=Explanation,
        responses={404: {"model": Failed, "description": "Neither a recent request nor in the log"}},
        summary="Why a page was as it was",
        name="explain",
    )
    async def explained(request_id: Annotated[str, Path(description="As the page's answer has it.")]) -> Any:
        found = await serving.alone(explain, serving.live.of(request_id), request_id)
        if found is None:
            raise Refused("request_id", f'"{request_id}" is neither a recent request nor in the log.', status=404)
        return found

    return router
