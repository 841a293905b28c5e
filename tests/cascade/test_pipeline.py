"""Nested cuts: no stage sees what a later one is judged on."""

import numpy as np
import pytest

from headrace.cascade.validation import recall_of


def test_each_retriever_is_fitted_before_the_window_it_proposes_for(pipeline):
    cuts = pipeline.cuts
    for name in pipeline.plan.retrievers:
        first, final = (pipeline.retriever(name, final=final).manifest for final in (False, True))
        assert first.window_us[1] < cuts.rank_us
        assert cuts.rank_us <= final.window_us[1] < cuts.test_us
    sasrec = pipeline.retriever("sasrec", final=False).manifest
    assert sasrec.window_us[1] < cuts.valid_us, "a learned retriever does not see what stops its training"
    assert pipeline.ranker.manifest.window_us[1] < cuts.rank_us
    lists = pipeline.lists()
    assert ((lists.requests.at_us >= cuts.rank_us) & (lists.requests.at_us < cuts.test_us)).all()


def test_candidates_are_hit_as_often_in_the_rank_window_as_in_the_test_window(pipeline):
    """If the retrievers had seen the ranker's window, its candidates would be hit far more often than those served."""
    cuts, cascade = pipeline.cuts, pipeline.cascade()
    requests, answers = pipeline.requests(cuts.test_us, cuts.last_us + 1)
    served = recall_of(cascade.recall(requests), requests, answers)
    trained = pipeline.candidate_lists.manifest.metrics["recall"]
    assert trained == pytest.approx(served, abs=0.15)  # 100 to 200 requests a window: two standard errors are near 0.1


def test_histories_of_requests_end_before_them(pipeline):
    requests, answers = pipeline.requests(pipeline.cuts.test_us, pipeline.cuts.last_us + 1)
    rows = requests.history.rows()
    assert (requests.history.at_us < requests.at_us[rows]).all()
    assert (answers.at_us == requests.at_us[answers.rows()]).all()


def test_the_cascade_is_a_policy_whose_log_prob_is_what_it_logged(pipeline):
    requests, _ = pipeline.requests(pipeline.cuts.test_us, pipeline.cuts.last_us + 1, limit=50)
    cascade = pipeline.cascade()
    slates = cascade.act(requests, seed=5)
    np.testing.assert_allclose(cascade.log_prob(requests, slates), slates.log_prob, atol=1e-5)  # float32 scores, other batch
    alone = cascade.act(requests.take(np.array([7])), seed=5)
    assert np.array_equal(alone.items[0], slates.items[7])


def test_an_item_the_cascade_could_not_show_has_no_chance(pipeline):
    requests, _ = pipeline.requests(pipeline.cuts.test_us, pipeline.cuts.last_us + 1, limit=20)
    cascade = pipeline.cascade()
    slates = cascade.act(requests, seed=5)
    past = requests.history.last(1)[:, 0]
    swapped = slates.items.copy()
    swapped[:, 0] = past  # an item the user had before is never allowed
    impossible = cascade.log_prob(requests, type(slates)(swapped, slates.log_prob, slates.policy_id, False))
    assert np.isneginf(impossible[past > 0, 0]).all()


def test_the_generation_says_what_it_was_made_from(pipeline):
    kinds = {manifest.kind for manifest in pipeline.graph.store.lineage(pipeline.generation.key)}
    assert kinds == {"generation", "tables", "features", "rank", "retrieve", "candidates"}
    assert all(manifest.personal for manifest in pipeline.graph.store.lineage(pipeline.generation.key))
    found = pipeline.graph.store.descendants(pipeline.tables.key)
    assert pipeline.generation.key in {manifest.key for manifest in found}
