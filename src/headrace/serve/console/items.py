"""An item by its id, or items by words: what one is, whether it may be shown and why not, who chose it and what is like it.

What is asked stands in the address. Without anything asked: what was chosen most, and what was put last.
"""

from typing import Any

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from headrace.serve.catalogue.messages import Hit, Search
from headrace.serve.catalogue.search import search
from headrace.serve.console.explored import pictures
from headrace.serve.console.item_told import Chosen, Told, chosen, favourites, newest, told
from headrace.serve.console.view import Link, View
from headrace.serve.service import Service

LINK = Link("/items", "Items")
_HITS, _OFFERED, _LONGEST = 30, 20, 10_000


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    async def items(item: str = "") -> Response:
        service, trouble = view.serving.service, ""
        if len(item) > _LONGEST:
            trouble, item = f"What was asked has {len(item):,} letters: at most {_LONGEST:,} are taken.", ""
        found: Told | None = await view.serving.alone(told, service, item) if item else None
        shown = await run_in_threadpool(of_one, service, found) if found else await view.serving.alone(of_words, service, item)
        if not item.strip():
            shown |= await run_in_threadpool(offered, service)
        return view.page("items.html.jinja", here=LINK, asked=item, found=found, trouble=trouble, **shown)

    return router


def of_one(service: Service, found: Told) -> dict[str, Any]:
    ids = [found.item_id, *(item_id for item_id, _, _ in found.alike)]
    log = service.pipeline.log
    story: Chosen = chosen(service, found.item_id)
    return {"chosen": story, "dated": log.clock == "time", "images": pictures(service, ids), "hits": []}


def of_words(service: Service, words: str) -> dict[str, Any]:
    """What fits them; no word, no item."""
    hits: list[Hit] = search(service, Search(query=words, n=_HITS)).items if words.strip() else []
    return {"hits": hits, "images": pictures(service, [one.item_id for one in hits])}


def offered(service: Service) -> dict[str, Any]:
    most, last = favourites(service, _OFFERED), newest(service, _OFFERED)
    ids = [item_id for item_id, _, _ in (*most, *last)]
    return {"favourites": most, "newest": last, "images": pictures(service, ids)}
