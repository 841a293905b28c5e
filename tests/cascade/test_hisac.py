"""[rank] use = "hisac" end to end: codes and vectors of before its window, kept in its own arrays, and its pages served."""

import numpy as np
import pytest

from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.run import planned
from headrace.contracts.errors import ConfigError
from headrace.serve.scorers.accelerate import ScorerSessions, accelerated
from tests.cascade.shop import write_rich_shop

RANK = """
[ids]
levels = 2
codes = 4
[rank]
use = "hisac"
[rank.hisac]
item_dim = 8
hidden = [8]
history = 30
kept = 4
kept_per_level = [2, 2]
train = { epochs = 1 }
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    toml = write_rich_shop(tmp_path_factory.mktemp("hisac"))
    toml.write_text(toml.read_text() + RANK)
    return planned(toml, toml.parent / "run")


def test_it_is_fitted_on_what_was_known_before_its_window(shop):
    assert shop.plan.newest >= 30
    ranker = shop.scorer("rank")
    assert {"semantic_ids", "item_vectors"} <= set(ranker.manifest.parents)
    codes = [shop.semantic_ids(cut_us).key for cut_us in shop.window("rank")]
    assert ranker.manifest.parents["semantic_ids"] == codes[0] != codes[1]
    scorer = shop.scoring("rank").scorer
    assert scorer.tree.shape[1] == 2
    assert (scorer.leaf > 0).sum() > 10


def test_its_pages_are_served_through_onnx_as_they_are_in_torch(shop):
    eager, served = shop.cascade(), accelerated(shop, "onnx")
    assert isinstance(served.scorings[-1].scorer, ScorerSessions)
    requests, _ = shop.requests(shop.cuts.test_us, 2**62, 20)
    pages = [cascade.act(requests, seed=0).items for cascade in (eager, served)]
    assert len(requests) > 5
    assert pages[0].any()
    np.testing.assert_array_equal(pages[0], pages[1])


def test_without_vectors_it_says_what_it_needs(shop):
    values = read_toml(shop.plan.folder / "shop.toml")
    values["features"].pop("item_vectors")
    values["page"]["explore"].pop("mmr")
    with pytest.raises(ConfigError, match=r"hisac needs vectors"):
        plan_from(values, where="shop.toml", folder=shop.plan.folder).needs_of("hisac", "rank")
