"""[rank] use = "embsum" end to end: it learns to write from summaries of before its window, and what it writes is shown."""

import logging

import numpy as np
import pytest
from typer.testing import CliRunner

from headrace.cascade.profile import profile
from headrace.cascade.reads_as import reads_as
from headrace.cascade.run import planned
from headrace.cascade.summaries import load_summaries
from headrace.cli.main import app
from headrace.contracts.serving import ServeConfig
from headrace.methods.rank.embsum import EmbSum
from headrace.serve.explain import explain
from headrace.serve.scorers.accelerate import ScorerSessions, accelerated
from headrace.serve.service import Service
from tests.cascade.shop import write_rich_shop

RANK = """
[rank]
use = "embsum"
[rank.embsum]
history = 6
session = 3
side_dim = 8
user_vectors = 3
width = 6
batch_size = 16
decoder_dim = 16
decoder_heads = 2
decoder_layers = 1
dropout = 0.0
summary_tokens = 24
summary_weight = 0.3
reader = { dim = 16, heads = 2, layers = 1, tokens = 8, vocabulary = 400, dropout = 0.0 }
train = { epochs = 12, learning_rate = 0.02 }
"""


def planned_shop(folder, rank=RANK):
    toml = write_rich_shop(folder)
    toml.write_text(toml.read_text().replace("epochs = 2", "epochs = 1") + rank)
    return planned(toml, folder / "run")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return planned_shop(tmp_path_factory.mktemp("embsum"))


def words_of(shop, users):
    """What the ranker writes of users as of the end of the log."""
    numbers = shop.log.users.encode(users)
    requests = shop.requests_of(numbers, np.full(len(users), shop.cuts.last_us + 1))
    return [" ".join(one.split()) for one in shop.scoring("rank").scorer.summaries_of(requests)]


def test_it_learns_from_what_was_written_before_its_window(shop):
    ranker, (start, end) = shop.scorer("rank"), shop.window("rank")
    assert ranker.manifest.parents["summaries"] == shop.summaries(start).key != shop.summaries(end).key
    texts = load_summaries(shop.summaries(start)).texts
    assert all(text.startswith("likes ") for text in texts[1:])
    assert not any("summar" in name for name in shop.scoring("rank").scorer.arrays()), "none of it is kept"


def test_what_it_writes_is_shown(shop, tmp_path):
    (words,) = words_of(shop, ["c1"])
    assert words.startswith("likes half ")
    assert reads_as(shop, "c1") == profile(shop, "c1").reads_as == words
    _ = shop.generation
    shown = CliRunner().invoke(app, ["profile", str(shop.graph.store.root.parent), "c1"], catch_exceptions=False)
    assert f"embsum reads them as: {words}" in shown.stdout
    service = Service(shop, tmp_path, ServeConfig(runtime="onnx"))
    service.recommend("c1", "r1")
    found = explain(service, "r1")
    service.close()
    assert found is not None
    assert found.reads_as == words


def test_its_pages_are_served_through_onnx_as_they_are_in_torch(shop):
    eager, served = shop.cascade(), accelerated(shop, "onnx")
    assert isinstance(served.scorings[-1].scorer, ScorerSessions)
    requests, _ = shop.requests(shop.cuts.test_us, 2**62, 20)
    pages = [cascade.act(requests, seed=0).items for cascade in (eager, served)]
    assert len(requests) > 5
    assert pages[0].any()
    np.testing.assert_array_equal(pages[0], pages[1])


def test_one_that_writes_before_it_answers_runs_in_torch_and_says_why(tmp_path, caplog):
    rank = RANK.replace("epochs = 12", "epochs = 1") + 'at_serving = "decoded"\n'
    with caplog.at_level(logging.WARNING):
        served = accelerated(shop := planned_shop(tmp_path, rank), "onnx")
    assert isinstance(served.scorings[0].scorer, ScorerSessions)
    assert isinstance(served.scorings[-1].scorer, EmbSum)
    assert 'can\'t be exported (embsum writes a summary word by word with at_serving = "decoded"' in caplog.text
    requests, _ = shop.requests(shop.cuts.test_us, 2**62, 20)
    np.testing.assert_array_equal(served.act(requests, seed=0).items, shop.cascade().act(requests, seed=0).items)
