"""Bars: as long as their values, and safe to open."""

import math
import re
from xml.etree import ElementTree

from headrace.evaluate.bar_charts import BarPanel, bars_svg

PANELS = [
    BarPanel("share & use", [("level 1", 1.0), ("level 2", 0.25)], 1.0),
    BarPanel("none", [("a", math.nan), ("b", -0.5)], 1.0),
]
DRAWN = bars_svg("codes <of> a shop", PANELS)


def test_a_bar_is_as_long_as_its_value() -> None:
    lengths = [float(width) for width in re.findall(r"width='([\d.]+)' height='16' fill='#2f6f9f'", DRAWN)]
    assert lengths[1] == lengths[0] / 4
    assert lengths[2:] == [0, 0], "what is no number, or below 0, has no bar"
    assert ">-0.500<" in DRAWN


def test_it_is_well_formed_whatever_it_is_called() -> None:
    root = ElementTree.fromstring(DRAWN)
    said = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "codes <of> a shop" in said
    assert "share & use" in said
    assert float(root.attrib["height"]) > 0
