"""Bars as one SVG file that needs nothing but itself: a panel a question, a bar an answer.

Every bar begins at 0, and each panel has a scale of its own up to `full`, so a share of 1 fills its panel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from headrace.evaluate.charts import figure

_WIDTH, _LEFT, _VALUE, _PITCH, _HEAD, _GAP = 640, 130, 70, 24, 34, 14
_FONT = "font-family='sans-serif' font-size='13'"


@dataclass(frozen=True)
class BarPanel:
    """bars: name and value. full: what fills the panel. Values below 0 or that are no number have no bar and are said."""

    title: str
    bars: Sequence[tuple[str, float]]
    full: float


def bars_svg(title: str, panels: Sequence[BarPanel]) -> str:
    parts, y = [f"<text x='14' y='26' {_FONT} font-weight='bold' fill='#222'>{escape(title)}</text>"], 40
    for panel in panels:
        parts.append(f"<text x='14' y='{y + 20}' {_FONT} fill='#222'>{escape(panel.title)}</text>")
        y += _HEAD
        for name, value in panel.bars:
            parts += _bar(name, value, panel.full, y)
            y += _PITCH
        y += _GAP
    size = f"width='{_WIDTH}' height='{y}' viewBox='0 0 {_WIDTH} {y}'"
    body = "\n".join([f"<rect width='{_WIDTH}' height='{y}' fill='#ffffff'/>", *parts])
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size}>\n{body}\n</svg>\n"


def _bar(name: str, value: float, full: float, y: int) -> list[str]:
    room = _WIDTH - _LEFT - _VALUE
    length = round(room * min(value / full, 1.0), 1) if value > 0 and full > 0 else 0.0
    return [
        f"<text x='{_LEFT - 8}' y='{y + 15}' {_FONT} fill='#444' text-anchor='end'>{escape(name)}</text>",
        f"<rect x='{_LEFT}' y='{y + 3}' width='{room}' height='16' fill='#eef1f4'/>",
        f"<rect x='{_LEFT}' y='{y + 3}' width='{length}' height='16' fill='#2f6f9f'/>",
        f"<text x='{_LEFT + room + 8}' y='{y + 15}' {_FONT} fill='#222'>{escape(figure(value))}</text>",
    ]
