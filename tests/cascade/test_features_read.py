"""Features of pairs and vectors of texts, from the TOML to the page, with all real parts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.run import build, open_run, recommend
from headrace.cascade.scoring import score, with_pairs
from headrace.contracts.errors import DataError
from headrace.data.rank_inputs import candidate_batch, pairs_in
from headrace.methods.page.explore import Explore
from tests.cascade.shop import RING, write_rich_shop

PAIRS = ["pair.item.count_2d", "pair.item.count_7d", "pair.user.city*item.colour"]


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """The folder of a build of the rich shop."""
    folder = tmp_path_factory.mktemp("rich")
    build(write_rich_shop(folder), folder / "run", name="rich")
    return folder / "run"


@pytest.fixture
def pipeline(rich):
    return open_run(rich)


def test_the_ranker_reads_what_candidates_carry_and_the_pre_ranker_does_not(pipeline):
    scorers = {one.stage: one.scorer for one in pipeline.cascade().scorings}
    assert pairs_in(scorers["rank"].candidate_schema) == PAIRS
    assert pairs_in(scorers["prerank"].candidate_schema) == []
    assert scorers["rank"].fields.pair_width == 3 * scorers["rank"].config.feature_dim


def test_they_are_as_of_the_request_wherever_candidates_come_from(pipeline):
    """What the lists carry that the ranker learned from, and what the cascade gives it for the same request and moment."""
    lists, features = pipeline.lists("rank"), pipeline.feature_object
    rows = np.arange(0, len(lists), 7)
    part = lists.take(rows)
    assert list(part.candidates.features) != []
    again = with_pairs(features, part.requests, replace(part.candidates, features={}))
    for name, codes in features.pairs_at(part.requests.users, part.candidates.items, part.requests.at_us).items():
        np.testing.assert_array_equal(part.candidates.features[name], codes)
        np.testing.assert_array_equal(again.features[name], codes)
    cascade = pipeline.cascade()
    recalled = cascade.recall(part.requests)
    ranked = score(cascade.scorings, part.requests, recalled)
    for name, codes in features.pairs_at(part.requests.users, ranked.items, part.requests.at_us).items():
        np.testing.assert_array_equal(ranked.features[name], codes, err_msg="they stay with their item in every stage")
    assert all(codes.max() > 1 for codes in ranked.features.values())


def test_a_ranker_refuses_candidates_that_carry_nothing(pipeline):
    lists = pipeline.lists("rank")
    with pytest.raises(DataError, match='candidates carry no "pair.item.count_2d"'):
        candidate_batch(replace(lists.candidates, features={}), list(lists.candidates.scores), PAIRS)


def test_texts_reach_every_model_and_the_page(pipeline):
    vectors = pipeline.feature_object.item_vectors
    assert vectors is not None
    assert vectors.shape == (RING + 1, 256)
    assert not vectors[0].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[1:], axis=1), 1, atol=1e-5)
    cascade = pipeline.cascade()
    held = [one.scorer.fields if one.stage == "rank" else one.scorer.towers.fields for one in cascade.scorings]
    for fields in held:
        np.testing.assert_array_equal(fields.get_buffer("vectors").numpy(), vectors)
    assert isinstance(cascade.page, Explore)
    assert cascade.page.vectors is not None, "mmr reads them rather than categories"
    assert len(recommend(pipeline, "c3")) == 4


def test_other_vectors_are_another_build(pipeline, rich):
    values = read_toml(rich.parent / "shop.toml")
    del values["features"]["item_vectors"]
    other = replace(open_run(rich), plan=plan_from(values, where="shop.toml", folder=rich.parent))
    assert other.item_vectors is None
    kinds = {manifest.kind for manifest in pipeline.graph.store.lineage(pipeline.generation.key)}
    assert "item vectors" in kinds
    assert json.loads((rich / "report.json").read_text())["rows"]
