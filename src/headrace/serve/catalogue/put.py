"""Items put, deleted and described: what was sent held against the generation's table, kept in the catalogue, said back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from headrace.serve.catalogue.filters import NOTHING
from headrace.serve.catalogue.kept import Row
from headrace.serve.catalogue.messages import Deleted, Described, Item, Placed, Stored
from headrace.serve.messages import Refused
from headrace.serve.service import Service

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Ways = list[Literal["lexical", "vector"]]


def put(service: Service, sent: Sequence[Item], *, one: bool = False) -> Stored:
    """All or none. one: it did not come as a list."""
    rows = [_row(service, item, "" if one else f"{place}.") for place, item in enumerate(sent)]
    ids = [row["item_id"] for row in rows]
    shelf = service.shelf
    service.new_items.read(rows)
    changed = shelf.catalogue.put(rows, shelf.table.rows(ids), service.now_us())
    shown, found = shelf.shown_now, shelf.found(NOTHING)
    numbers = [shelf.number(item_id) for item_id in ids]
    placed = [
        Placed(
            item_id=item_id, changed=new, known=number is not None and number < shelf.n_items,
            recommendable=number is not None
            and (bool(shown[number]) if number < shelf.n_items else service.new_items.recommendable(number)),
            searchable=_ways(service, number is not None and number < len(found) and bool(found[number])),
        )
        for item_id, new, number in zip(ids, changed, numbers, strict=True)
    ]  # fmt: skip
    return Stored(stored=sum(changed), unchanged=len(changed) - sum(changed), items=placed)


def delete(service: Service, item_id: str) -> Deleted:
    """From its return on nobody is shown it, in any process. One that nobody knows is kept as deleted: the next build may know
    it."""
    shelf = service.shelf
    gone = shelf.catalogue.delete(item_id, shelf.table.rows([item_id]).get(item_id), service.now_us())
    return Deleted(item_id=item_id, deleted=gone, known=_known(service, item_id))


def described(service: Service, item_id: str) -> Described:
    """Refused with 404: nobody knows it, or it was deleted."""
    shelf = service.shelf
    number, kept = shelf.number(item_id), shelf.catalogue.get(item_id)
    if kept is not None and kept.deleted:
        when = (_EPOCH + timedelta(microseconds=kept.at_us)).isoformat(timespec="seconds")
        raise Refused("item_id", f'"{item_id:.200}" was deleted at {when}. PUT /v1/items brings it back.', status=404)
    row = kept.row if kept is not None else shelf.table.rows([item_id]).get(item_id)
    if row is None or number is None:
        raise unknown(item_id)
    found = shelf.found(NOTHING)
    known = number < shelf.n_items
    return Described(
        item_id=item_id, known=known,
        recommendable=bool(shelf.shown_now[number]) if known else service.new_items.recommendable(number),
        searchable=_ways(service, bool(found[number])), source="build" if kept is None else "put",
        since=None if kept is None else (_EPOCH + timedelta(microseconds=kept.at_us)).isoformat(), item=row,
    )  # fmt: skip


def unknown(item_id: str) -> Refused:
    return Refused("item_id", f'"{item_id:.200}" is no item that the generation or anybody since has spoken of.', status=404)


def _row(service: Service, item: Item, field: str) -> Row:
    """The columns that were sent, as the table would hold them."""
    table, said = service.shelf.table, item.model_dump(include=item.model_fields_set | set(item.model_extra or ()))
    if not item.item_id.strip():
        raise Refused(f"{field}item_id", "is blank: an import would set it aside.")
    return {name: table.checked(name, value, f"{field}{name}") for name, value in said.items()}


def _known(service: Service, item_id: str) -> bool:
    number = service.shelf.number(item_id)
    return number is not None and number < service.shelf.n_items


def _ways(service: Service, found: bool) -> Ways:
    if not found:
        return []
    return ["lexical", "vector"] if service.searched.has_vectors else ["lexical"]
