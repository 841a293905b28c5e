"""An item to look at: what is known of it, whether it may be shown now and why not, who chose it, and what is like it.

    chosen    its events in the build's log, by how many users, and its place among all items by that
    lately    who chose it last, of the build's log; not who was erased or does not consent to being known by what they did

Cost: passes over the log's events, memory-mapped, O(events); likeness as `/v1/items/ID/similar`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from headrace.contracts.requests import Int64
from headrace.serve.catalogue.item_table import text_of
from headrace.serve.catalogue.similar import similar
from headrace.serve.service import Service

_LATELY, _LOOKED_AT, _ALIKE, _LETTERS = 12, 60, 12, 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT_US = {"ms": 1_000, "us": 1, "ns": 0.001}


@dataclass(frozen=True)
class Standing:
    """Whether it may be shown now. tone: of the style sheet. says: why, and what would change it; "" where nothing has to be.
    twin: whose scores a newcomer has, (item id, title)."""

    word: str
    tone: str
    says: str = ""
    twin: tuple[str, str] | None = None


@dataclass(frozen=True)
class Chosen:
    """times: events of the build's log. place: by that, from 1; 0 where nobody chose it. lately: who and when."""

    items: int
    times: int = 0
    users: int = 0
    place: int = 0
    first_us: int = 0
    last_us: int = 0
    lately: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Told:
    """facts: columns of its row that hold anything, as people read them. put_us: since when it is as it is, None: as it was
    built. alike_by: see `similar`. alike: (item id, title, score)."""

    item_id: str
    title: str
    standing: Standing
    facts: dict[str, str]
    put_us: int | None
    deleted: bool
    known: bool
    codes: str
    alike_by: str
    alike: list[tuple[str, str, float]]


def told(service: Service, item_id: str) -> Told | None:
    """None of an item that neither the build nor anybody since spoke of."""
    shelf = service.shelf
    number = shelf.number(item_id)
    if number is None:
        return None
    kept = shelf.kept(number)
    row = kept.row if kept is not None else shelf.table.rows([item_id]).get(item_id, {})
    deleted = kept is not None and kept.deleted
    by, alike = ("nothing", []) if deleted else _alike(service, number)
    return Told(
        item_id, shelf.title(number), standing(service, number, row), facts(row, shelf.table.schema),
        None if kept is None else kept.at_us, deleted, number < shelf.n_items,
        "" if service.codes is None else service.codes.said(number), by, alike,
    )  # fmt: skip


def standing(service: Service, number: int, row: Mapping[str, Any]) -> Standing:
    """row: as it stands now, empty of a deleted item."""
    shelf = service.shelf
    kept, known = shelf.kept(number), number < shelf.n_items
    if kept is not None and kept.deleted:
        return Standing("deleted", "blocked", "Nobody is shown it until PUT /v1/items brings it back.")
    if not row.get("available", True):
        if kept is None:
            return Standing("withdrawn", "blocked", 'The log has it as not available: {"available": false}.')
        return Standing("withdrawn", "blocked", 'Nobody is shown it until it is put with {"available": true}.')
    if known:
        if shelf.shown_now[number]:
            return Standing("may be shown", "passed")
        return Standing("from the next build on", "none", "It was not available when this generation was built.")
    if not service.new_items.most:
        says = "It came since the build, and this server shows none such: [serve] newcomers, or a page that can't have them."
        return Standing("from the next build on", "none", says)
    if not service.new_items.recommendable(number):
        says = "It came since the build, and its text is like that of no item that somebody chose. A search finds it."
        return Standing("from the next build on", "none", says)
    twin = int(service.new_items.kin_of([text_of(dict(row))])[0].numbers[0])
    says = "It came since the build. Until the next one it borrows the scores of the item most like it:"
    return Standing("may be shown, as a newcomer", "passed", says, (shelf.item_id(twin), shelf.title(twin)))


def facts(row: Mapping[str, Any], schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    shown = {name: _said(value, schema.get(name)) for name, value in row.items() if name not in ("item_id", "title", "available")}
    return {name: said for name, said in shown.items() if said}


def chosen(service: Service, item_id: str) -> Chosen:
    """May be worked out while another answer is."""
    log = service.pipeline.log
    number = int(log.items.encode([item_id])[0])
    counts = counted(service)
    if not number or not counts[number]:
        return Chosen(len(counts) - 1)
    events = log.store.events
    here = np.flatnonzero(np.asarray(events.items) == number)
    at_us = np.asarray(events.at_us)[here]
    users = np.searchsorted(events.offsets, here, side="right") - 1
    last = np.argsort(at_us, kind="stable")[::-1][:_LOOKED_AT]
    names = [name or "" for name in log.users.decode(users[last].astype(np.int32))]
    gone, now = service.state.erased(names), service.now_us()
    lately: dict[str, int] = {}
    for name, moment, erased in zip(names, at_us[last].tolist(), gone, strict=True):
        if not erased and not service.impersonal.holds(name, now):
            lately.setdefault(name, moment)
    place = 1 + int((counts > counts[number]).sum())
    return Chosen(
        len(counts) - 1, len(here), len(np.unique(users)), place, int(at_us.min()), int(at_us.max()),
        tuple(list(lately.items())[:_LATELY]),
    )  # fmt: skip


def counted(service: Service) -> Int64:
    """[n_items]: events of each item in the build's log."""
    log = service.pipeline.log
    found = np.bincount(log.store.events.items, minlength=len(log.items))
    found[0] = 0
    return found


def favourites(service: Service, most: int) -> list[tuple[str, str, int]]:
    """Of those that may be shown, what was chosen most: (item id, title, events)."""
    counts = np.where(service.shelf.shown_now, counted(service), 0)
    best = np.argsort(-counts, kind="stable")[:most]
    return [(service.shelf.item_id(one), service.shelf.title(one), int(counts[one])) for one in best.tolist() if counts[one]]


def newest(service: Service, most: int) -> list[tuple[str, str, int]]:
    """What was put last and is there: (item id, title, when)."""
    shelf = service.shelf
    there = sorted((kept for kept in shelf.said() if not kept.deleted), key=lambda one: -one.at_us)[:most]
    return [(one.item_id, one.row.get("title") or one.item_id, one.at_us) for one in there]


def _alike(service: Service, number: int) -> tuple[str, list[tuple[str, str, float]]]:
    by, found = similar(service, number, _ALIKE)
    (scores,) = found.scores.values()
    there, shelf = found.there[0], service.shelf
    pairs = zip(found.items[0][there].tolist(), scores[0][there].tolist(), strict=True)
    return by, [(shelf.item_id(one), shelf.title(one), score) for one, score in pairs]


def _said(value: Any, dtype: Any) -> str:
    """A row's value, whose times are numbers of their units."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(dtype, pl.Datetime):
        return f"{_EPOCH + timedelta(microseconds=value * _UNIT_US[dtype.time_unit]):%Y-%m-%d %H:%M}"
    if dtype == pl.Date:
        return f"{_EPOCH + timedelta(days=value):%Y-%m-%d}"
    if isinstance(value, float):
        return f"{value:,.10g}"
    said = str(value)
    return said if len(said) <= _LETTERS else f"{said[:_LETTERS]} … ({len(said):,} letters)"
