"""Nested cuts: no stage sees what a later one is judged on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.run import open_run, recommend
from headrace.cascade.validation import recall_of
from headrace.contracts.errors import ConfigError


def test_each_stage_is_fitted_before_the_window_it_proposes_for(pipeline):
    cuts = pipeline.cuts
    for name in pipeline.plan.retrievers:
        first, final = (pipeline.retriever(name, final=final).manifest for final in (False, True))
        assert first.window_us[1] < cuts.prerank_us
        assert cuts.rank_us <= final.window_us[1] < cuts.test_us
    sasrec = pipeline.retriever("sasrec", final=False).manifest
    assert sasrec.window_us[1] < cuts.valid_us, "a learned retriever does not see what stops its training"
    windows = {"prerank": (cuts.prerank_us, cuts.rank_us), "rank": (cuts.rank_us, cuts.test_us)}
    for stage, (start, end) in windows.items():
        assert pipeline.scorer(stage).manifest.window_us[1] < start
        at_us = pipeline.lists(stage).requests.at_us
        assert ((at_us >= start) & (at_us < end)).all()


def test_without_a_pre_ranker_the_ranker_has_its_window_too(shop, built):
    plan = plan_from({**read_toml(shop), "prerank": {}}, where="shop.toml", folder=shop.parent)
    pipeline = replace(open_run(built, read_only=False), plan=plan)
    assert pipeline.scoring_stages == ["rank"]
    assert pipeline.window("rank") == (pipeline.cuts.prerank_us, pipeline.cuts.test_us)


def test_a_scorer_sees_the_scores_of_the_stages_before_it_and_keeps_its_best(pipeline):
    lists = pipeline.lists("rank")
    assert list(lists.candidates.scores) == ["popularity", "itemknn", "sasrec", "prerank"]
    assert lists.candidates.items.shape[1] == pipeline.plan.prerank.keep
    scores = np.where(lists.candidates.there, lists.candidates.scores["prerank"], -np.inf)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_candidates_are_hit_as_often_in_the_training_window_as_in_the_test_window(pipeline):
    """If the retrievers had seen the scorer's window, its candidates would be hit far more often than those served."""
    cuts, cascade = pipeline.cuts, pipeline.cascade()
    requests, answers = pipeline.requests(cuts.test_us, cuts.last_us + 1)
    served = recall_of(cascade.recall(requests), requests, answers)
    trained = pipeline.candidate_lists("prerank").manifest.metrics["recall"]
    assert trained == pytest.approx(served, abs=0.15)  # 50 to 100 requests a window: two standard errors are near 0.1


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
    assert kinds == {"generation", "tables", "features", "prerank", "rank", "retrieve", "candidates"}
    assert all(manifest.personal for manifest in pipeline.graph.store.lineage(pipeline.generation.key))
    found = pipeline.graph.store.descendants(pipeline.tables.key)
    assert pipeline.generation.key in {manifest.key for manifest in found}


def test_business_rules_reach_the_page(shop, built):
    """Pin, block and a wrong id, through the TOML."""
    rules: list[dict[str, Any]] = [{"pin": "p5", "slot": 1}, {"block_category": "half 1"}]
    values = read_toml(shop)
    values["page"] = {"seen_items": True, "explore": {"slots": 4, "rules": rules}}
    pipeline = replace(open_run(built, read_only=False), plan=plan_from(values, where="shop.toml", folder=shop.parent))
    requests, _ = pipeline.requests(pipeline.cuts.test_us, pipeline.cuts.last_us + 1, limit=20)
    slates = pipeline.cascade().act(requests, seed=0)
    assert (slates.items[:, 0] == pipeline.log.items.encode(["p5"])[0]).all()
    assert (slates.propensity[:, 0] == 1).all()
    shown = slates.items[slates.items > 0]
    assert set(pipeline.log.items.decode(shown)) <= {f"p{n}" for n in range(12)}, "the other half is blocked"
    page = recommend(pipeline, "c3")
    assert (page[0].item_id, page[0].propensity) == ("p5", 1)
    assert page[0].reasons[0].startswith("rule: "), "the answer names the rule"
    rules[0]["pin"] = "p55"
    wrong = replace(pipeline, plan=plan_from(values, where="shop.toml", folder=shop.parent))
    with pytest.raises(ConfigError, match="p55"):
        wrong.cascade()
