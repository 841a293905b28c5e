"""What the import made of the log: rows read, kept and set aside, with reasons and samples; what columns hold, what may be shown.

Rows of users who were erased since are left out. A row set aside has its number in its file, so it can be found and mended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
from fastapi import APIRouter, Response

from headrace.serve.console.charts import Spec
from headrace.serve.console.paging import Part, part
from headrace.serve.console.view import Link, View
from headrace.serve.service import Service

LINK = Link("/data", "Data")
_AT_ONCE, _LONGEST = 50, 300


@dataclass(frozen=True)
class SetAside:
    """Rows of one table for one reason. share: of the rows read."""

    table: str
    reason: str
    rows: int
    share: float

    @property
    def url(self) -> str:
        return f"{LINK.url}?reason={quote(self.reason, safe='')}#rows"


@dataclass(frozen=True)
class Sample:
    """rows: in the order of their files. part: which of all."""

    rows: list[dict[str, Any]]
    part: Part


@dataclass(frozen=True)
class Offered:
    """Items of the build, those the generation may show, those it may show now, and those put since, which it can't yet."""

    items: int
    available: int
    now: int
    put: int


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    def data(reason: str = "", page: str = "1") -> Response:
        service = view.serving.service
        tables = service.pipeline.tables
        told = tables.manifest.metrics
        aside = set_aside(told)
        known = [one.reason for one in aside]
        asked = reason if reason in known else ""
        refused = service.pipeline.graph.store.root / "quarantine.parquet"
        return view.page(
            "data.html.jinja", here=LINK, told=told, aside=aside, drawn=drawn(aside), reasons=list(dict.fromkeys(known)),
            asked=asked, unknown=reason if reason != asked else "", offered=offered(service),
            limit=service.pipeline.plan.data.max_quarantined,
            sample=sample(service, tables.path / "quarantine.parquet", asked, page), refused=sample(service, refused, "", "1"),
            filled={name: filled(tables.path / f"{name}.parquet") for name in ("items", "users")},
        )  # fmt: skip

    return router


def set_aside(told: Mapping[str, Any]) -> list[SetAside]:
    """The commonest first."""
    found = [
        SetAside(table, reason, rows, rows / max(told["read"].get(table, 0), 1))
        for table, reasons in told["quarantined"].items()
        for reason, rows in reasons.items()
    ]
    return sorted(found, key=lambda one: -one.rows)


def sample(service: Service, path: Path, reason: str, page: str) -> Sample | None:
    """reason: "" for every one. None where nothing was set aside."""
    if not path.is_file():
        return None
    rows = pl.scan_parquet(path).filter(pl.col("reason") == reason) if reason else pl.scan_parquet(path)
    count = rows.select(pl.len()).collect().item()
    if not count:
        return None
    of_all = part(page, count, _AT_ONCE)
    found = rows.slice(of_all.start, of_all.stop - of_all.start).collect().to_dicts()
    gone = service.state.erased([str(one["user_id"] or "") for one in found])
    shown = [one | {"value": _short(one["value"])} for one, erased in zip(found, gone, strict=True) if not erased]
    return Sample(shown, of_all)


def filled(path: Path) -> list[tuple[str, str, float]]:
    """(column, type, share of rows that have a value); empty of a table that has no row."""
    rows = pl.scan_parquet(path)
    counts = rows.select(pl.len().alias(""), pl.all().count()).collect().row(0, named=True)
    total = counts.pop("")
    types = {name: str(dtype).lower().partition("(time")[0] for name, dtype in rows.collect_schema().items()}
    return [(name, types[name], count / total) for name, count in counts.items()] if total else []


def offered(service: Service) -> Offered:
    shelf = service.shelf
    shown = shelf.shown_now
    return Offered(shelf.n_items - 1, int(shelf.available.sum()), int(shown.sum()), len(shelf.numbers) - (shelf.n_items - 1))


def drawn(aside: list[SetAside]) -> Spec | None:
    if not aside:
        return None
    rows = [{"reason": one.reason, "table": one.table, "rows": one.rows} for one in aside]
    reason = {"field": "reason", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}}
    count = {"field": "rows", "type": "quantitative", "title": "rows", "axis": {"tickMinStep": 1}}
    return {
        "data": {"values": rows}, "height": {"step": 34}, "mark": {"type": "bar", "tooltip": True},
        "encoding": {"y": reason, "x": count, "color": {"field": "table", "type": "nominal"}},
    }  # fmt: skip


def _short(value: str | None) -> str:
    return "-" if value is None else value if len(value) <= _LONGEST else f"{value[:_LONGEST]}... ({len(value):,} letters)"
