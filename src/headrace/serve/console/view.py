"""What every page is made with: the templates, the links between pages, what is loaded and what a browser may load.

Templates escape whatever they are given. A page is whole without JavaScript, which draws the charts and keeps figures fresh;
there is none in the pages themselves and no style, so the policy allows neither, whatever an id or a title holds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from headrace import __version__
from headrace.evaluate.charts import figure
from headrace.serve.console.assets import ROOT, asset
from headrace.serve.console.charts import chart
from headrace.serve.console.evaluated import Evaluations
from headrace.serve.serving import Serving

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{images}; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Link:
    """path: below the root, which is the console's; "" is the first page."""

    path: str
    title: str
    root: str = ROOT

    @property
    def url(self) -> str:
        return self.root + self.path


class View:
    """links: of all pages, in the order they are shown."""

    def __init__(self, serving: Serving, links: Sequence[Link]):
        self.serving, self.evaluations = serving, Evaluations(serving)
        self._pages = Environment(
            loader=PackageLoader("headrace.serve.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._pages.globals |= {"links": links, "asset": asset, "chart": chart, "version": __version__, "root": ROOT}
        told = {"figure": figure, "count": count, "when": when, "ms": milliseconds, "span": span, "ticked": ticked}
        self._pages.filters |= told

    def page(self, template: str, *, here: Link, status: int = 200, **values: Any) -> HTMLResponse:
        """here: the page's own link. A template also sees the name of the run and which generation answers."""
        serving = self.serving
        told = {"here": here, "run": serving.folder.resolve().name, "generation": serving.service.generation, **values}
        return HTMLResponse(self._pages.get_template(template).render(told), status, self._headers())

    def _headers(self) -> dict[str, str]:
        images = " https:" if self.serving.settings.console_images else ""
        return {"Content-Security-Policy": _POLICY.format(images=images), "Cache-Control": "no-store"}


def count(number: int) -> str:
    return f"{number:,}"


def when(at_us: int) -> str:
    """To the minute, UTC."""
    return f"{_EPOCH + timedelta(microseconds=at_us):%Y-%m-%d %H:%M}"


def milliseconds(value: float) -> str:
    """A dash for none."""
    return "-" if math.isnan(value) else f"{value:.3g} ms" if value < 1000 else f"{value / 1000:.3g} s"


def ticked(said: str) -> Markup:
    """What stands between backticks as code."""
    parts = enumerate(said.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in parts)


def span(seconds: float) -> str:
    """In its two largest units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{value} {unit}" for value, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if value]
    return " ".join(parts[:2]) or "0 s"
