"""The plain rankers of texts named in a plan, end to end: texts of before the window, a table of items, pages served."""

import numpy as np
import pytest

from headrace.cascade.run import planned
from headrace.serve.scorers.accelerate import ScorerSessions, accelerated
from tests.cascade.shop import write_rich_shop

READER = "reader = { dim = 8, heads = 2, layers = 1, tokens = 8, vocabulary = 300 }\ntrain = { epochs = 1 }\n"
SMALL = "history = 6\nside_dim = 8\nwidth = 6\n"


@pytest.fixture(scope="module", params=["nrms", "naml", "mean_text"])
def shop(request, tmp_path_factory):
    toml = write_rich_shop(tmp_path_factory.mktemp(request.param))
    rank = f'\n[rank]\nuse = "{request.param}"\n[rank.{request.param}]\n{SMALL}{READER}'
    toml.write_text(toml.read_text() + rank)
    return planned(toml, toml.parent / "run")


def test_it_is_served_as_it_was_trained(shop):
    eager, served = shop.cascade(), accelerated(shop, "onnx")
    scorer, ranker = eager.scorings[-1].scorer, shop.scorer("rank")
    assert ranker.manifest.parents["item_texts"]
    assert isinstance(served.scorings[-1].scorer, ScorerSessions)
    requests, _ = shop.requests(shop.cuts.test_us, 2**62, 20)
    pages = [cascade.act(requests, seed=0).items for cascade in (eager, served)]
    assert len(requests) > 5
    assert pages[0].any()
    np.testing.assert_array_equal(pages[0], pages[1])
    assert scorer.sides.shape == (25, 1, 8)
    if hasattr(scorer, "more_categories"):
        assert scorer.kinds is not None, "the plan's log has categories"
