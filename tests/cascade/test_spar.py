"""[rank] use = "spar" end to end: texts and summaries of before its window, kept in its own arrays, and its pages served."""

import numpy as np
import pytest

from headrace.cascade.run import planned
from headrace.serve.scorers.accelerate import ScorerSessions, accelerated
from tests.cascade.shop import write_rich_shop

RANK = """
[rank]
use = "spar"
[rank.spar]
history = 6
session = 2
side_dim = 8
user_vectors = 3
width = 6
summary = "written"
summary_tokens = 16
reader = { dim = 8, heads = 2, layers = 1, tokens = 8, vocabulary = 300 }
train = { epochs = 1 }
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    toml = write_rich_shop(tmp_path_factory.mktemp("spar"))
    toml.write_text(toml.read_text() + RANK)
    return planned(toml, toml.parent / "run")


def test_it_reads_what_was_known_before_its_window(shop):
    ranker = shop.scorer("rank")
    start, end = shop.window("rank")
    assert ranker.manifest.parents["summaries"] == shop.summaries(start).key != shop.summaries(end).key
    scorer = shop.scoring("rank").scorer
    requests, _ = shop.requests(shop.cuts.test_us, 2**62, 20)
    assert all(text.startswith("likes ") for text in scorer.summaries_of(requests))


def test_its_pages_are_served_through_onnx_as_they_are_in_torch(shop):
    eager, served = shop.cascade(), accelerated(shop, "onnx")
    assert isinstance(served.scorings[-1].scorer, ScorerSessions)
    requests, _ = shop.requests(shop.cuts.test_us, 2**62, 20)
    pages = [cascade.act(requests, seed=0).items for cascade in (eager, served)]
    assert len(requests) > 5
    assert pages[0].any()
    np.testing.assert_array_equal(pages[0], pages[1])
