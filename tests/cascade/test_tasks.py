"""Several tasks of one ranker: their labels side by side, what is stored, what is measured of each, and mistakes."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from headrace.build.graph import Graph
from headrace.cascade.impressions import BASE_RATE, measure_impressions, served_rows
from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.run import open_run
from headrace.cascade.scoring import all_logits_of, logits_of
from headrace.cascade.shown import Impressions
from headrace.cascade.validation import probabilities, value_of_ranker
from headrace.contracts.errors import ConfigError, DataError
from headrace.data.labels import labels_of
from headrace.evaluate.pointwise import normalized_entropy

TASKS = {
    "look": {"event": "view", "window_h": 2},
    "day": {"event": "view", "window_h": 24},
    "never": {"event": "view", "window_h": 0.0002},  # every view here comes a second or more after its page
    "year": {"event": "view", "window_h": 9000},
    "buy": {"event": "buy", "window_h": 2},
}
RATES = "tests.cascade.two_tasks:Rates"


@pytest.fixture(scope="module")
def single(shown_built):
    return open_run(shown_built)


def learning(pipeline, *names, use=RATES, **rank):
    """The shop's plan with a ranker of these tasks."""
    values = read_toml(pipeline.plan.folder / "shop.toml")
    asked = {"use": use, "learn_from": "impressions", "task": list(names), **rank}
    plan = plan_from({**values, "tasks": TASKS, "rank": asked}, where="shop.toml", folder=pipeline.plan.folder)
    return replace(pipeline, plan=plan, graph=Graph(pipeline.graph.store))


@pytest.fixture(scope="module")
def several(single):
    return learning(single, "look", "day")


def labelled(pipeline, name):
    """(user number, item number, moment) -> label."""
    labels = labels_of(pipeline.tables.path, pipeline.plan.tasks[name], pipeline.cuts.test_us, pipeline.window("rank")[0])
    users, items = pipeline.log.users.encode(labels.rows["user_id"]), pipeline.log.items.encode(labels.rows["item_id"])
    return dict(zip(zip(users, items, labels.rows["at_us"], strict=True), labels.rows["label"].to_list(), strict=True))


def test_each_task_labels_the_main_ones_impressions_and_an_open_window_is_not_known(several):
    lists = several.lists("rank")
    assert list(lists.tasks) == ["look", "day"]
    row, place = np.nonzero(lists.known)
    keys = list(zip(lists.requests.users[row], lists.candidates.items[row, place], lists.requests.at_us[row], strict=True))
    assert dict(zip(keys, lists.tasks["look"][row, place], strict=True)) == labelled(several, "look")
    closed = labelled(several, "day")
    found = dict(zip(keys, lists.tasks["day"][row, place], strict=True))
    assert {key for key, label in found.items() if not np.isnan(label)} == set(closed) < set(keys)
    assert all(found[key] == label for key, label in closed.items())
    np.testing.assert_array_equal(np.nan_to_num(lists.tasks["look"]), lists.label)
    for label in lists.tasks.values():
        assert np.isnan(label[~lists.known]).all()


def test_one_task_is_stored_as_before_and_several_under_a_key_of_their_own(single, several):
    assert not single.lists("rank").tasks
    alone = learning(single, "look", use="dcnv2", dcnv2=single.plan.of("rank", "dcnv2"))
    assert alone.candidate_lists("rank").key == single.candidate_lists("rank").key
    assert alone.scorer("rank").key == single.scorer("rank").key, "a list of one task is that task"
    keys = {one.candidate_lists("rank").key for one in (single, several, learning(single, "day", "look"))}
    assert len(keys) == 3
    np.testing.assert_array_equal(several.lists("rank").candidates.items, single.lists("rank").candidates.items)


def test_counts_are_of_the_impressions_that_are_there(several):
    metrics, lists = several.candidate_lists("rank").manifest.metrics, several.lists("rank")
    for name, label in lists.tasks.items():
        known = ~np.isnan(label)
        counts = metrics["tasks"][name]
        assert (counts["labelled"], counts["positive"]) == (known.sum(), label[known].sum())
    assert metrics["labelled"] == metrics["tasks"]["look"]["labelled"] > metrics["tasks"]["day"]["labelled"] > 0


def test_the_main_task_is_what_orders(several):
    scorer, lists = several.scoring("rank").scorer, several.lists("rank").take(np.arange(9))
    every = all_logits_of(scorer, lists.requests, lists.candidates)
    assert list(every) == ["look", "day"]
    np.testing.assert_array_equal(logits_of(scorer, lists.requests, lists.candidates), every["look"])
    assert not np.array_equal(every["look"], every["day"], equal_nan=True)
    swapped = learning(several, "day", "look").scoring("rank").scorer
    assert list(all_logits_of(swapped, lists.requests, lists.candidates)) == ["day", "look"]


def test_training_is_stopped_by_the_mean_of_the_tasks_entropies(several):
    scorer, lists = several.scoring("rank").scorer, several.lists("rank")
    logits, found = all_logits_of(scorer, lists.requests, lists.candidates), []
    for name, label in lists.tasks.items():
        known = ~np.isnan(label)
        found.append(normalized_entropy(label[known], probabilities(logits[name][known])))
    assert value_of_ranker(scorer, lists) == pytest.approx(-np.mean(found))
    one_sided = lists.tasks["day"].copy()
    one_sided[~np.isnan(one_sided)] = 0
    assert value_of_ranker(scorer, replace(lists, tasks={**lists.tasks, "day": one_sided})) == pytest.approx(-found[0])


def test_every_task_has_rows_and_the_main_ones_come_first(several):
    rows, facts, curves = measure_impressions(several)
    splits = list(dict.fromkeys(row.split.removeprefix(f"{several.split_name}, ") for row in rows))
    assert splits == [
        "impressions of look", "drawn from (1 / propensity), look", "impressions of day", "drawn from (1 / propensity), day",
    ]  # fmt: skip
    assert {row.metric for row in rows if "impressions" in row.split} == {
        "gauc", "log_loss", "normalized_entropy", "calibration_ratio", "auc", "ece",
    }  # fmt: skip
    assert {row.metric for row in rows if "drawn" in row.split} == {"log_loss", "normalized_entropy", "calibration_ratio"}
    assert {row.method for row in rows} == {BASE_RATE, RATES}
    served = served_rows(several.plan, rows)
    assert {row.split for row in served} == {f"{several.split_name}, impressions of look"}
    assert {row.method for row in served} == {RATES}
    assert 'day: "view" within 24 hours' in facts["impressions to rank, day"]["task"]
    assert "say as much as" in facts["impressions to rank, look"]["what it was drawn from"]
    assert [curve.method for curve in curves] == [RATES, f"{RATES}, day"]


def test_calibration_is_of_the_main_task(single):
    rows, _, _ = measure_impressions(learning(single, "look", "day", calibrate="platt"))
    assert {row.split.split(", ")[-1] for row in rows if row.method.endswith(", platt")} == {"impressions of look", "look"}


def test_a_ranker_that_orders_by_worth_is_measured_on_each_tasks_probability(single):
    small = {"history": 5, "train": {"epochs": 1}, "worth": {"day": 2.0}}
    mine = learning(single, "look", "day", use="shared_bottom", shared_bottom=small)
    scorer, lists = mine.scoring("rank").scorer, mine.lists("rank").take(np.arange(5))
    every = all_logits_of(scorer, lists.requests, lists.candidates)
    assert list(every) == ["worth", "look", "day"]
    assert logits_of(scorer, lists.requests, lists.candidates) == pytest.approx(every["worth"], nan_ok=True)
    rows, _, _ = measure_impressions(mine)
    assert {row.metric for row in rows if row.split.endswith("impressions of look")} >= {"calibration_ratio", "auc"}
    assert {row.method for row in rows} == {BASE_RATE, "shared_bottom"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("never", r'\[rank\]: task "never": none of the [\d,]+ impressions of its window led to "view"'),
        ("year", r'\[rank\]: task "year": its window has .* none that can be labelled: [\d,]+ are censored'),
    ],
)
def test_a_task_of_which_nothing_can_be_learned_is_an_error_that_names_it(single, name, says):
    with pytest.raises(DataError, match=says):
        learning(single, "look", name).lists("rank")


def test_a_task_whose_event_never_happens_is_an_error_that_names_the_event(single):
    with pytest.raises(ConfigError, match=r'event = "buy": the log has no such kind'):
        learning(single, "look", "buy").lists("rank")


@pytest.mark.parametrize(
    ("rank", "says"),
    [
        ({"task": ["look", "dya"]}, r'\[rank\]: task = "dya" is not a task. Did you mean "day"\? Tasks: look, day'),
        ({"task": ["look", "day", "look"]}, r'\[rank\]: task names "look" twice. Each task is learned once'),
        ({"task": ["look", "same"]}, r'task names "look" and "same", and \[tasks.look\] and \[tasks.same\] are the same: event'),
        ({"task": ["look", "worth"]}, 'a task can\'t be called "worth" beside others'),
        (
            {"task": ["look", "day"], "use": "dcnv2"},
            r'\[rank\]: "dcnv2" learns one task, and task names 2: look, day. Of ',
        ),
        ({"task": ["look"]}, r"ranks by several tasks, and task names look. Set learn_from"),
        ({"task": []}, r'learn_from = "impressions" needs a task'),
        ({"learn_from": "proposals"}, r'task = "look" is of impressions, and learn_from is "proposals"'),
        ({"task": 3}, r"\[rank\].*task"),
        (
            {"use": "shared_bottom", "shared_bottom": {"worth": {"look": 1.0}}, "calibrate": "platt"},
            r"with \[rank.shared_bottom\] worth the score that orders is what all tasks are worth together, no probability",
        ),
    ],
)
def test_mistakes_in_the_toml(tmp_path, rank, says):
    tasks = {**TASKS, "same": TASKS["look"], "worth": {"event": "view", "window_h": 3}}
    asked = {"use": RATES, "learn_from": "impressions", "task": ["look", "day"], **rank}
    data = {"events": "e.csv", "requests": "r.parquet", "candidates": "c.parquet"}
    with pytest.raises(ConfigError, match=says):
        plan_from({"data": data, "tasks": tasks, "rank": asked}, where="shop.toml", folder=tmp_path)


def test_first_slots_carry_the_chance_they_were_drawn_with(several, tmp_path):
    start, end = several.window("rank")
    shown = Impressions.between(several.tables.path, several.log, several.plan.tasks_of("rank"), start, end, 10**6)
    first = ~np.isnan(shown.drawn_p)
    assert (first.sum(1) == 1).all()
    assert np.unique(shown.drawn_p[first]) == pytest.approx([1 / 24])
    for name in ("events", "requests", "candidates", "users"):
        pl.read_parquet(several.tables.path / f"{name}.parquet").write_parquet(tmp_path / f"{name}.parquet")
    rows = pl.read_parquet(tmp_path / "candidates.parquet")
    rows.with_columns(propensity=pl.lit(1.0)).write_parquet(tmp_path / "candidates.parquet")
    sure = Impressions.between(tmp_path, several.log, several.plan.tasks_of("rank"), start, end, 10**6)
    assert np.isnan(sure.drawn_p).all(), "a policy that leaves nothing to chance"
