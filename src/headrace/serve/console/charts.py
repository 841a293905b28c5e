"""A chart in a page: a Vega-Lite specification as data, which `console.js` draws, over a table of the same numbers.

Colours, type and grid are the page's; a specification names colours of the style sheet (`toned`) where they mean something.
Without JavaScript the table is all there is of it.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Environment
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

Spec = Mapping[str, Any]
"""Vega-Lite, its rows in `data.values`."""
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_WIDE: Spec = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
_FIGURE = """<figure class="chart">
<figcaption>{{ title }}{% if says %}<small>{{ says }}</small>{% endif %}</figcaption>
<div class="drawing" data-chart></div>
<script type="application/json">{{ spec }}</script>
<details class="numbers"><summary>The numbers<span class="unseen"> of {{ title }}</span></summary>
<div class="scroll" tabindex="0" role="region" aria-label="{{ title }}, table"><table>
<thead><tr>{% for heading in headings %}<th scope="col">{{ heading }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div></details>
</figure>"""
_TEMPLATE = Environment(autoescape=True).from_string(_FIGURE)


def chart(spec: Spec, title: str, says: str = "", columns: Mapping[str, str] | None = None) -> Markup:
    """spec: Vega-Lite with its rows in `data.values`. columns: field -> heading, those in the table; all fields by default."""
    rows = spec["data"]["values"]
    shown = columns or {name: name.replace("_", " ") for name in (rows[0] if rows else ())}
    whole = {"$schema": _SCHEMA, "description": title, **_WIDE, **spec}
    return Markup(
        _TEMPLATE.render(
            title=title,
            says=says,
            spec=htmlsafe_json_dumps(whole, dumps=json.dumps, allow_nan=False),
            headings=shown.values(),
            rows=[[_cell(row.get(name)) for name in shown] for row in rows],
        )
    )


def toned(rows: Iterable[Mapping[str, Any]], field: str, tones: Mapping[str, str]) -> dict[str, Any]:
    """A colour for each value of the field that there is. tones: value -> its name in the style sheet, in the legend's order."""
    there = {row[field] for row in rows}
    found = {value: tone for value, tone in tones.items() if value in there}
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(found), "range": [f"--{tone}" for tone in found.values()]},
    }


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
