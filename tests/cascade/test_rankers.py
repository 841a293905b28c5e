"""Rankers side by side on one plan's candidates, and one ranker by several balancers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from headrace.build.graph import Graph
from headrace.cascade.impressions import measure_impressions
from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.rankers import PLAIN, compare_balancers, compare_rankers
from headrace.cascade.run import open_run
from headrace.contracts.errors import ConfigError

SHARED = "shared_bottom"
RATES = "tests.cascade.two_tasks:Rates"
TASKS = {"look": {"event": "view", "window_h": 2}, "day": {"event": "view", "window_h": 24}}
FAST = {"hidden": [8], "history": 5, "train": {"epochs": 1}}


def planned(pipeline, **rank):
    values = read_toml(pipeline.plan.folder / "shop.toml")
    asked = {"learn_from": "impressions", "task": ["look", "day"], "use": SHARED, SHARED: FAST, "dcnv2": values["rank"]["dcnv2"]}
    plan = plan_from({**values, "tasks": TASKS, "rank": {**asked, **rank}}, where="shop.toml", folder=pipeline.plan.folder)
    return replace(pipeline, plan=plan, graph=Graph(pipeline.graph.store))


@pytest.fixture(scope="module")
def shown(shown_built):
    return open_run(shown_built)


@pytest.fixture(scope="module")
def several(shown):
    return planned(shown)


def test_rankers_that_learn_from_proposals_are_judged_by_the_order_of_one_list(pipeline):
    plain = replace(pipeline, graph=Graph(pipeline.graph.store))
    values = {**plain.plan.settings["rank"], "masknet": {"history": 5, "train": {"epochs": 1}}}
    plain = replace(plain, plan=replace(plain.plan, settings={**plain.plan.settings, "rank": values}))
    found = compare_rankers(plain, ["masknet", "dcnv2", "masknet"])
    assert list(found.trained) == ["masknet", "dcnv2"]
    assert [name for name in plain.graph.made if name.startswith(("rank", "candidates"))] == ["rank masknet"]
    rows = [row for row in found.rows if (row.metric, row.slice) == ("recall@5", "all")]
    assert [(row.method, row.baseline) for row in rows] == [("masknet", None), ("dcnv2", "masknet")]
    assert found.trained["dcnv2"].key == pipeline.scorer("rank").key


def test_readers_of_long_histories_are_named_in_a_plan_as_others_are(pipeline):
    own: dict[str, dict[str, Any]] = {"centres": {}, "eta": {"bits": 16}, "sim": {"search": "soft"}, "twin": {}}
    readers = {name: {"history": 12, "kept": 3, "hidden": [8], "train": {"epochs": 1}, **some} for name, some in own.items()}
    plain = replace(pipeline, graph=Graph(pipeline.graph.store))
    values = {**plain.plan.settings["rank"], **readers}
    plain = replace(plain, plan=replace(plain.plan, settings={**plain.plan.settings, "rank": values}))
    found = compare_rankers(plain, ["dcnv2", *readers])
    rows = {row.method: row for row in found.rows if (row.metric, row.slice) == ("recall@5", "all")}
    assert {name: row.baseline for name, row in rows.items()} == {"dcnv2": None, **dict.fromkeys(readers, "dcnv2")}
    assert len({row.value for row in rows.values()}) > 1, "they don't all order alike"


def test_rankers_of_one_and_of_several_tasks_are_paired_where_both_know_a_task(several):
    found = compare_rankers(several, ["dcnv2", SHARED, RATES])
    by_task = {task: [row for row in found.rows if row.split.endswith(f"impressions of {task}")] for task in TASKS}
    assert {row.method: row.baseline for row in by_task["look"]} == {"dcnv2": None, SHARED: "dcnv2", RATES: "dcnv2"}
    assert {row.method: row.baseline for row in by_task["day"]} == {SHARED: None, RATES: SHARED}
    drawn = [row for row in found.rows if "drawn from (1 / propensity), look" in row.split]
    assert {row.metric for row in drawn} == {"log_loss", "normalized_entropy", "calibration_ratio"}
    alone = next(row for row in by_task["look"] if (row.method, row.metric) == (SHARED, "auc"))
    rows, _, _ = measure_impressions(several)
    same = next(row for row in rows if (row.method, row.metric) == (SHARED, "auc") and row.split == alone.split)
    assert alone.value == pytest.approx(same.value), "the report's own figure"


def test_where_one_gives_no_probabilities_all_have_rows_of_order_alone(shown):
    listwise = {"history": 5, "train": {"epochs": 1}}
    found = compare_rankers(planned(shown, use="dcnv2", task="look", dlrm=listwise), ["dcnv2", "dlrm"])
    assert found.unlikely == ["dlrm"]
    assert {row.metric for row in found.rows} == {"gauc", "auc"}


def test_balancers_are_set_against_the_plain_sum_and_found_again(several):
    found = compare_balancers(several, ["fixed", "multibalance"])
    assert list(found.trained) == [PLAIN, "fixed", "multibalance"]
    assert len({one.key for one in found.trained.values()}) == 3
    assert found.trained[PLAIN].key == several.scorer("rank").key, "the plan's own training is the plain sum's"
    for task in TASKS:
        rows = [row for row in found.rows if row.split.endswith(f"impressions of {task}")]
        assert {row.metric for row in rows} >= {"auc", "normalized_entropy", "calibration_ratio"}
        assert {row.method: row.baseline for row in rows} == {PLAIN: None, "fixed": PLAIN, "multibalance": PLAIN}
        even = [row for row in rows if row.method == "fixed"]
        assert max(abs(row.diff or 0) for row in even) < 1e-5, "without weights every task counts once, as in the sum"
    again = planned(several)
    assert compare_balancers(again, ["multibalance", "fixed", "equal"]).rows[0] == found.rows[0]
    assert again.graph.made == []


def test_the_balancer_of_the_plan_keeps_its_settings_and_its_training(shown):
    train = {"epochs": 1, "balancer": "fixed", "balancer_settings": {"weights": {"day": 3.0}}}
    mine = planned(shown, **{SHARED: {**FAST, "train": train}})
    found = compare_balancers(mine, ["fixed", "famo"])
    trains = {name: one.config["settings"]["train"] for name, one in found.trained.items()}
    assert {name: one["balancer_settings"] for name, one in trains.items()} == {
        PLAIN: {}, "fixed": {"weights": {"day": 3.0}}, "famo": {},
    }  # fmt: skip
    assert {one["epochs"] for one in trains.values()} == {1}
    assert found.trained["fixed"].key == mine.scorer("rank").key
    rows = [row for row in found.rows if (row.method, row.metric) == ("fixed", "log_loss")]
    assert any(row.diff != 0 for row in rows)


def test_a_calibration_has_no_say_in_what_is_compared(shown):
    calibrated = planned(shown, calibrate="platt")
    plain = compare_balancers(planned(shown), [PLAIN]).rows
    assert np.isfinite([row.value for row in plain]).all()
    assert compare_balancers(calibrated, [PLAIN]).rows == plain


@pytest.mark.parametrize(
    ("rank", "ask", "says"),
    [
        (
            {"use": "dcnv2", "task": "look"}, lambda one: compare_balancers(one, ["famo"]),
            r'\[rank\]: "dcnv2" learns look, so there is nothing to balance. Set learn_from = .* two or more of: look, day',
        ),
        (
            {"use": "dcnv2", "learn_from": "proposals", "task": []}, lambda one: compare_balancers(one, ["famo"]),
            r'"dcnv2" learns no task',
        ),
        ({}, lambda one: compare_balancers(one, ["multibalanse"]), r'--balance: "multibalanse" .* Did you mean "multibalance"'),
        ({}, lambda one: compare_rankers(one, ["dcnv3"]), r'--rank: "dcnv3" .* Did you mean "dcnv2"'),
        (
            {"use": "dcnv2", "task": "look"}, lambda one: compare_rankers(one, ["dcnv2", SHARED]),
            r"ranks by several tasks, and task names look",
        ),
        ({"use": RATES}, lambda one: compare_balancers(one, ["famo"]), "is not trained by gradients"),
    ],
)  # fmt: skip
def test_what_is_refused(shown, rank, ask, says):
    with pytest.raises(ConfigError, match=says):
        ask(planned(shown, **rank))
