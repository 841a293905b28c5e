"""The report on a shop's codes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.cascade.ids_report import ids_report, write_ids
from headrace.cascade.pipeline import Pipeline
from tests.cascade.test_semantic_ids import shop


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("reported"))


def test_it_says_what_the_codes_are_like_and_in_which_words(pipeline: Pipeline, tmp_path: Path) -> None:
    report = ids_report(pipeline, "shop")
    assert report.measured.with_codes == report.measured.items - 1 == 25
    assert [level.used for level in report.measured.levels] == [3, 3]
    assert {"wool", "steel", "glass"} & {word for words in report.words.values() for word in words}
    assert report.moved == []
    for path in write_ids(tmp_path, report):
        assert path.stat().st_size > 500
    written = json.loads((tmp_path / "ids.json").read_text())
    assert written["levels"][0]["perplexity"] == report.measured.levels[0].perplexity
    assert "share of codes in use" in (tmp_path / "ids.svg").read_text()


def test_against_itself_nothing_has_moved_and_against_another_seed_something_has(pipeline: Pipeline) -> None:
    same = ids_report(pipeline, "shop", pipeline, "itself")
    assert [one.moved for one in same.moved] == [0, 0]
    assert same.matched == 25
    other = replace(pipeline, plan=replace(pipeline.plan, seed=7))
    moved = ids_report(pipeline, "shop", other, "seed 7").moved
    assert moved[0].moved > 0
    assert moved[0].rand > 0.5, "the wool stays with the wool"
    assert "items moved since seed 7" in ids_report(pipeline, "shop", other, "seed 7").svg()
