"""From one plan's build to another's: the artifact that `founding` makes, read by a plan that ranks by it."""

import json

import numpy as np
import pytest

from headrace.cascade.foundation import write_foundation
from headrace.cascade.founding import founding
from headrace.cascade.run import build, open_run
from headrace.data.aggregator import Decay
from headrace.data.foundation import USER
from tests.cascade.upstream_shop import LEARN, NO_PERSONALISING, upstream_run

SMALL = """
use = "lfm4ads"
learn_from = "impressions"
task = "look"
[rank.lfm4ads]
reads = ["UR", "CR", "IR", "item CR"]
adapter = "mlp"
isomorphic = true
hidden = [8]
history = 5
loss = "pointwise"
train = { epochs = 1 }
[rank.dcnv2]
"""
MORE = """
[foundation]
artifact = "known"
[retrieve.standalone]
train = { epochs = 1 }
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    run = upstream_run(tmp_path_factory.getbasetemp())
    upstream = open_run(run)
    made = founding(upstream, Decay(), "CR1")
    write_foundation(run.parent / "known", *made)
    text = (run.parent / "shop.toml").read_text().replace(LEARN, SMALL) + MORE
    toml = run.parent / "small.toml"
    toml.write_text(text.replace("[retrieve]\n", '[retrieve]\nuse = ["popularity", "itemknn", "standalone"]\n', 1))
    build(toml, run.parent / "small", name="small")
    return upstream, made.foundation, open_run(run.parent / "small")


def test_a_plan_of_the_same_log_knows_all_but_who_refused(small):
    _, known, pipeline = small
    metrics = pipeline.foundation.manifest.metrics
    assert metrics["users"] - metrics["users_known"] == 2
    assert metrics["items"] == metrics["items_known"]
    assert metrics["made_of"] == known.made_of
    told = pipeline.log.users.encode([NO_PERSONALISING])
    assert not pipeline.requests_of(told, np.array([pipeline.cuts.last_us])).features[USER].any()


def test_requests_carry_what_the_upstream_said_before_them(small):
    upstream, known, pipeline = small
    ids = [one for one in upstream.log.users.ids.to_list() if one not in ("c1", "c2")]
    at_us = np.full(len(ids), pipeline.cuts.rank_us)
    found = pipeline.requests_of(pipeline.log.users.encode(ids), at_us).features[USER]
    assert found.shape[1] == known.user_width
    assert found.any(1).mean() > 0.9
    theirs = np.arange(1, len(ids) + 1, dtype=np.int32)  # the artifact numbers those it knows in the upstream's order
    np.testing.assert_array_equal(found, known.users_at(theirs, at_us))


def test_its_block_starts_as_the_upstreams_and_both_answer(small):
    _, known, pipeline = small
    scorer = pipeline.scoring("rank").scorer
    assert {name: values.shape for name, values in scorer.block.state_dict().items()} == {
        name: values.shape for name, values in known.block.items()
    }
    cascade = pipeline.cascade()
    requests, _ = pipeline.requests(pipeline.cuts.test_us, 2**62, 10)
    assert cascade.act(requests, seed=0).items.any()
    assert cascade.retrievers["standalone"].retrieve(requests, 5, cascade.allowed(requests)).there.any()
    facts = pipeline.foundation.manifest.metrics
    assert facts["trained_until_us"] == pipeline.cuts.test_us, "the same log and split"
    told = json.loads((pipeline.plan.folder / "small" / "report.json").read_text())["facts"]["foundation"]
    assert "it has seen labels of those days" in told["labels"]
