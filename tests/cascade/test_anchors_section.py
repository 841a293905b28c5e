import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from headrace.cascade.anchors_section import AnchorsConfig, anchors_plan
from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.methods.prerank.anchors.causal import CausalConfig

FINE = {"out": "anchors.parquet", "anchors": {"run": "runs/shop", "n": 5, "causal": {"dim": 8}}}


def plan(**changes):
    return anchors_plan({**FINE, **changes}, where="anchors.toml", folder=Path("there"))


def test_what_it_says():
    found = plan()
    assert found.asked == AnchorsConfig(run="runs/shop", n=5)
    assert found.settings == {"dim": 8}
    assert found.out == Path("there/anchors.parquet")
    assert found.run == Path("there/runs/shop")


def test_the_folder_of_a_plan():
    assert plan(anchors={"plan": "shop.toml"}).run == Path("there/runs/shop")
    assert plan(anchors={"plan": "shop.toml", "run": "elsewhere"}).run == Path("there/elsewhere")


def test_out_of_the_command_line_comes_first():
    assert anchors_plan(FINE, where="", folder=Path(), out=Path("other.parquet")).out == Path("other.parquet")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rows": {}}, r"\[rows\] is not a section beside \[anchors\]"),
        ({"anchors": 3}, "expected a section"),
        ({"anchors": {"n": 3}}, 'say whose: run = "runs/shop"'),
        ({"anchors": {"run": "r", "writers": 3}}, 'Did you mean "writer"'),
        ({"anchors": {"run": "r", "casual": {}}}, r'\[anchors.casual\] is not a writer. Did you mean "causal"'),
        ({"anchors": {"run": "r", "until": "now"}}, "until"),
        ({"out": "anchors.csv"}, "expected the name of a Parquet file"),
        ({"out": ""}, "expected the name of a Parquet file"),
    ],
)
def test_mistakes_are_named(changes, says):
    with pytest.raises(ConfigError, match=says):
        plan(**changes)


def test_every_key_is_on_its_page_with_its_default():
    page = (Path(__file__).parent.parent.parent / "docs" / "annotate.md").read_text()
    block = re.search(r"```toml anchors.toml\n(.*?)```", page, re.DOTALL)
    assert block is not None
    found = anchors_plan(tomllib.loads(block[1]), where="docs", folder=Path())
    assert found.asked == AnchorsConfig(run="runs/shop")
    assert parse(CausalConfig, found.settings, where="docs") == CausalConfig()
    for kind in (AnchorsConfig, CausalConfig):
        for field in dataclasses.fields(kind):
            assert re.search(rf"\b{field.name}\b", block[1]), field.name
