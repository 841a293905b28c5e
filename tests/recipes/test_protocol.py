"""The smoke budget runs every part of a reproduction on a made-up log."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.recipes import RECIPES
from headrace.recipes.arms import Arm
from headrace.recipes.papers import papers
from headrace.recipes.protocol import recipe, reproduce
from headrace.recipes.reporting import read_report, text

RESULTS = Path(__file__).parent.parent.parent / "results"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def report(folder):
    return reproduce("sasrec", "smoke", folder)


def test_every_arm_is_measured_on_every_protocol(report):
    found = {(arm.protocol, arm.arm, arm.metric) for arm in report.arms}
    arms = {"popularity", "markov", "itemknn", "ease", "one_negative", "softmax"}
    assert found == {(p, a, m) for p in ("leave-last", "global temporal") for a in arms for m in ("ndcg@10", "recall@10")}
    assert all(arm.lo <= arm.value <= arm.hi and arm.n == 51 for arm in report.arms if arm.protocol == "leave-last")
    learned = next(arm for arm in report.arms if arm.arm == "softmax")
    assert len(learned.by_seed) == 2
    assert learned.by_seed[0] != learned.by_seed[1]


def test_sequence_models_find_the_ring_and_popularity_does_not(report):
    value = {arm.arm: arm.value for arm in report.arms if (arm.protocol, arm.metric) == ("leave-last", "ndcg@10")}
    assert min(value["softmax"], value["one_negative"], value["markov"]) > 0.6 > value["popularity"]


def test_the_verdict_follows_from_the_figures(report):
    assert report.verdict == report.claim.verdict(report.difference.lo, report.difference.hi)
    by_arm = {arm.arm: arm for arm in report.arms if (arm.protocol, arm.metric) == ("leave-last", "ndcg@10")}
    difference = by_arm["softmax"].value - by_arm["one_negative"].value
    assert report.difference.value == pytest.approx(difference)


def test_a_second_run_takes_every_cell_from_the_first(report, folder, monkeypatch):
    def no_training(*_args, **_kwargs):
        raise AssertionError("a finished cell was trained again")

    monkeypatch.setattr("headrace.recipes.arms.train", no_training)
    again = reproduce("sasrec", "smoke", folder)
    assert again.arms == report.arms


def test_a_result_is_read_as_it_was_written(report, tmp_path):
    path = report.write(tmp_path)
    assert read_report(path) == report
    assert {"name", "claim", "arms", "seeds", "verdict", "data_hash", "date", "command"} <= json.loads(path.read_text()).keys()
    path.write_text("{}")
    with pytest.raises(DataError, match="not a reproduction's result"):
        read_report(path)


def test_the_page_is_made_from_results_alone(report, tmp_path):
    report.write(tmp_path)
    page = papers(tmp_path)
    assert f"**{report.verdict}**" in page
    assert "| softmax |" in page
    (tmp_path / "sasrec.json").unlink()
    assert "not run" in papers(tmp_path)


def test_text_says_claim_and_verdict(report):
    shown = text(replace(report, verdict="null"))
    assert report.claim.says in shown
    assert "verdict: null" in shown


def test_every_recipe_has_its_reading_and_a_claim_on_one_of_its_protocols():
    for name in RECIPES:
        chosen = recipe(name)
        assert (RESULTS.parent / "docs" / "papers" / f"{name}.md").is_file()
        for budget in ("smoke", "cpu", "full"):
            work = chosen.work(budget)
            for claim in (chosen.CLAIM, *getattr(chosen, "FURTHER", ())):
                assert {claim.better, claim.than} <= set(work.arms)
                assert claim.metric in work.metrics
                assert claim.protocol in work.protocols or (budget == "smoke" and claim is not chosen.CLAIM)
            trials = {len(arm.trials) for arm in work.arms.values() if isinstance(arm, Arm) and arm.learned}
            assert len(trials) <= 1, "every learned arm gets the same number of tuning trials"


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match='Did you mean "sasrec"'):
        recipe("sasrek")


def test_the_page_in_docs_is_what_results_say():
    assert (RESULTS.parent / "docs" / "papers.md").read_text() == papers(RESULTS)
