"""Figures that grow with a size, as lines on logarithmic axes: one SVG, drawn from numbers alone.

curves(path, {"hisac": {1000: 3.3, 10_000: 4.0}, ...}, across="events", up="CPU ms")
"""

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 70, 150, 16, 44
COLOURS = ("#1b6ca8", "#c0392b", "#2d8a4e", "#8e5ea2", "#b8860b")


def curves(path: Path, lines: Mapping[str, Mapping[int, float]], *, across: str, up: str) -> None:
    """lines: name -> where -> how much, all above 0."""
    x = Scale([where for line in lines.values() for where in line], LEFT, WIDTH - RIGHT)
    y = Scale([value for line in lines.values() for value in line.values()], HEIGHT - BOTTOM, TOP)
    marks = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="14" y="{(TOP + HEIGHT - BOTTOM) / 2}" transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})"'
        f' text-anchor="middle">{escape(up)}</text>',
    ]
    for power, at in x.ticks:
        marks.append(f'<line x1="{at}" y1="{TOP}" x2="{at}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        marks.append(f'<text x="{at}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{10.0**power:,g}</text>')
    for power, at in y.ticks:
        marks.append(f'<line x1="{LEFT}" y1="{at}" x2="{WIDTH - RIGHT}" y2="{at}" stroke="#ddd"/>')
        marks.append(f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{10.0**power:,g}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour, places = COLOURS[number % len(COLOURS)], [(x(where), y(value)) for where, value in line.items()]
        points = " ".join(f"{at},{over}" for at, over in places)
        marks.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks += [f'<circle cx="{at}" cy="{over}" r="3" fill="{colour}"/>' for at, over in places]
        marks.append(f'<text x="{places[-1][0] + 8}" y="{places[-1][1] + 4}" fill="{colour}">{escape(name)}</text>')
    path.write_text("\n".join([*marks, "</svg>"]) + "\n")


class Scale:
    """From a value to its place, whole powers of ten at both ends. ticks: (power, place)."""

    def __init__(self, values: list[float], first: float, last: float):
        self.low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        self.first, self.step = first, (last - first) / max(high - self.low, 1)
        self.ticks = [(power, round(self.first + (power - self.low) * self.step, 1)) for power in range(self.low, high + 1)]

    def __call__(self, value: float) -> float:
        return round(self.first + (math.log10(value) - self.low) * self.step, 1)
