"""The semantic ids of the generation that answers: a tree of codes with the words that stand out under each, down to the items.

The codes are those its cascade reads (tiger, liger, mender); a cascade that reads none has no tree.
"""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Response

from headrace.cascade.codes_in_words import CodesInWords
from headrace.serve.console import tree
from headrace.serve.console.charts import Spec
from headrace.serve.console.paging import part
from headrace.serve.console.view import Link, View
from headrace.serve.service import Service

LINK = Link("/ids", "Semantic ids")
_BRANCHES, _ITEMS, _TITLES = 100, 50, 3


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    def ids(codes: str = "", item: str = "", page: str = "1") -> Response:
        service = view.serving.service
        shown = {} if service.codes is None else looked_at(service, service.codes, codes, item, page)
        return view.page("ids.html.jinja", here=LINK, there=service.codes is not None, **shown)

    return router


def looked_at(service: Service, told: CodesInWords, asked: str, item: str, page: str) -> dict[str, Any]:
    """All that the page shows. item: an id, whose own codes are shown instead of those asked for."""
    ids, trouble = told.ids, list[str]()
    codes = tree.read(asked, ids)
    if item.strip():
        number = service.shelf.number(item.strip())
        codes = None if number is None or number >= len(ids) or not ids.there[number] else tuple(ids.codes[number].tolist())
        if codes is None:
            trouble.append(f"Item {item.strip()!r:.80} has no codes: this generation does not know it, or it has no text.")
    elif codes is None:
        trouble.append(f"{asked!r:.80} is no code here: up to {ids.levels} numbers with - between them, such as 3 or 3-1.")
    codes = codes or ()
    items = tree.under(ids, codes)
    following = tree.branches(ids, codes, items)
    # among branches the address turns pages of branches; where one step is left, of items
    leaves = len(codes) >= ids.levels - 1
    of_all = part(page, len(items) if leaves else len(following), _ITEMS if leaves else _BRANCHES)
    listed = items[of_all.start : of_all.stop] if leaves else items[:_ITEMS]
    return {
        "trouble": trouble, "item": item, "codes": codes, "said": _said(codes), "way": tree.way(codes),
        "words": ", ".join(told.words.get(codes[0], ())) if codes else "", "count_of_items": len(items), "part": of_all,
        "levels": [(level, *one) for level, one in enumerate(tree.used(ids), 1)], "all_items": int(ids.there.sum()),
        "branches": [] if leaves else [_row(service, told, one, len(items)) for one in following[of_all.start : of_all.stop]],
        "leaves": leaves, "drawn": drawn(following, told) if not leaves and len(following) > 1 else None,
        "items": [(service.shelf.item_id(one), service.shelf.title(one), _said(ids.codes[one])) for one in listed.tolist()],
    }  # fmt: skip


def _row(service: Service, told: CodesInWords, one: tree.Branch, of: int) -> dict[str, Any]:
    titles = [service.shelf.title(int(number)) for number in one.items[:_TITLES]]
    words = ", ".join(told.words.get(one.codes[0], ())) if len(one.codes) == 1 else ""
    return {"said": one.said, "items": len(one.items), "share": len(one.items) / of, "words": words, "titles": titles}


def drawn(following: list[tree.Branch], told: CodesInWords) -> Spec:
    """The largest branches."""
    largest, words = following[:20], told.words
    rows = [{"code": one.said, "items": len(one.items), "words": ", ".join(words.get(one.codes[0], ()))} for one in largest]
    code = {"field": "code", "type": "nominal", "sort": None, "title": None}
    count = {"field": "items", "type": "quantitative", "axis": {"tickMinStep": 1}}
    return {
        "data": {"values": rows}, "height": {"step": 20}, "mark": {"type": "bar", "tooltip": True},
        "encoding": {"y": code, "x": count},
    }  # fmt: skip


def _said(codes: Iterable[int]) -> str:
    return "-".join(map(str, codes))
