"""The catalogue: items put, deleted, described, and those like one. An id stands in a path as it is, percent-encoded."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.convertors import Convertor, register_url_convertor

from headrace.serve.api.failures import PROBLEMS
from headrace.serve.catalogue.messages import Alike, Deleted, Described, Items, Similar, Stored
from headrace.serve.catalogue.put import delete, described, put, unknown
from headrace.serve.catalogue.similar import similar
from headrace.serve.messages import Failed
from headrace.serve.service import Service
from headrace.serve.serving import Serving


class _Any(Convertor[str]):
    """Slashes and line breaks too, which ids of a catalogue may have."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any_id", _Any())
ItemId = Annotated[str, Path(max_length=10_000, description="As the catalogue has it.")]
_ABSENT: dict[int | str, dict[str, Any]] = {**PROBLEMS, 404: {"model": Failed, "description": "No such item"}}


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.put("/v1/items", response_model=Stored, responses=PROBLEMS, summary="One item or a list: new, or changed")
    def put_items(sent: Items) -> Any:
        several = isinstance(sent, list)
        return put(serving.service, sent if isinstance(sent, list) else [sent], one=not several)

    @router.get("/v1/items/{item_id:any_id}/similar", response_model=Similar, responses=_ABSENT, summary="Items like an item")
    async def similar_items(item_id: ItemId, n: Annotated[int, Query(ge=1, le=100, description="Items wanted.")] = 10) -> Any:
        return await serving.alone(_similar, serving.service, item_id, n)

    @router.get("/v1/items/{item_id:any_id}", response_model=Described, responses=_ABSENT, summary="An item as it stands")
    def get_item(item_id: ItemId) -> Any:
        return described(serving.service, item_id)

    @router.delete(
        "/v1/items/{item_id:any_id}", response_model=Deleted, responses=PROBLEMS, summary="An item is gone until it is put again"
    )
    def delete_item(item_id: ItemId) -> Any:
        return delete(serving.service, item_id)

    return router


def _similar(service: Service, item_id: str, n: int) -> Similar:
    shelf = service.shelf
    number = shelf.number(item_id)
    kept = None if number is None else shelf.kept(number)
    if number is None or (kept is not None and kept.deleted):
        raise unknown(item_id)
    by, found = similar(service, number, n)
    (scores,) = found.scores.values()
    there = found.there[0]
    items = [
        Alike(position=place + 1, item_id=shelf.item_id(one), title=shelf.title(one), score=score)
        for place, (one, score) in enumerate(zip(found.items[0][there].tolist(), scores[0][there].tolist(), strict=True))
    ]
    return Similar(item_id=item_id, by=by, generation=service.generation, items=items)
