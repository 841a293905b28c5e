"""The cascade that writes codes says them: a build with LIGER beside ItemKNN, on a shop whose items are wool, steel or glass."""

import numpy as np
import pytest

from headrace.cascade.codes_in_words import CodesInWords
from headrace.cascade.run import build, open_run, recommend
from headrace.serve.explain import explain
from headrace.serve.service import Service
from tests.cascade.shop import write_rich_shop

LIGER = """
[ids]
levels = 2
codes = 4
[retrieve.liger]
dim = 16
layers = 1
heads = 2
hidden = 16
length = 5
train = { epochs = 2 }
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codes")
    toml = write_rich_shop(folder)
    toml.write_text(toml.read_text().replace("[retrieve]", '[retrieve]\nuse = ["liger", "itemknn"]', 1) + LIGER)
    build(toml, folder / "run", name="coded")
    return open_run(folder / "run")


def test_both_retrievers_propose_and_the_page_says_the_codes(pipeline):
    page = recommend(pipeline, "c1", codes=True)
    said = [detail for one in page for detail in one.details if detail.startswith("codes ")]
    assert len(said) == len(page) == 4
    assert any("wool" in one or "steel" in one or "glass" in one for one in said)
    assert not any(detail.startswith("codes ") for one in recommend(pipeline, "c1") for detail in one.details)
    asked = pipeline.requests_of(pipeline.log.users.encode(["c1"]), np.array([pipeline.cuts.last_us + 1]))
    assert list(pipeline.cascade().recall(asked).scores) == ["liger", "itemknn"]


def test_an_item_without_codes_says_nothing(pipeline):
    codes = CodesInWords.of(pipeline.cascade().retrievers.values(), pipeline.log, pipeline.cuts.test_us)
    assert codes is not None
    assert codes.said(0) == ""
    assert codes.said(10_000) == ""


def test_the_served_explanation_has_them(pipeline, tmp_path):
    service = Service(pipeline, tmp_path)
    service.recommend("c1", "r1")
    found = explain(service, "r1")
    service.close()
    assert found is not None
    assert all(item.codes[0].isdigit() for item in found.items)
