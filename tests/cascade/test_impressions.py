"""A ranker that learns from what was shown, end to end: its labels, its candidates, what is censored, and its figures."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from headrace.build.graph import Graph
from headrace.cascade.impressions import BASE_RATE
from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.run import build, open_run
from headrace.cascade.scoring import propose
from headrace.cascade.shown import Impressions
from headrace.contracts.errors import ConfigError, DataError
from headrace.data.labels import labels_of
from tests.cascade.shown_shop import LEARN, SHOWN, TASK, write_shown_shop

HOUR = 3_600_000_000
WINDOW = 2 * HOUR


@pytest.fixture
def built(shown_built):
    return shown_built


@pytest.fixture
def pipeline(built):
    return open_run(built)


def labels_in_window(pipeline):
    """By (user number, item number, moment)."""
    cuts, log = pipeline.cuts, pipeline.log
    labels = labels_of(pipeline.tables.path, pipeline.plan.task_of("rank"), cuts.test_us)
    rows = labels.rows.filter(pl.col("at_us") >= pipeline.window("rank")[0])
    keys = zip(log.users.encode(rows["user_id"]), log.items.encode(rows["item_id"]), rows["at_us"], strict=True)
    return dict(zip(keys, rows["label"].to_list(), strict=True))


def test_labels_are_those_of_labels_of_and_nothing_censored_is_among_them(pipeline):
    lists, cuts = pipeline.lists("rank"), pipeline.cuts
    row, place = np.nonzero(lists.known)
    keys = zip(lists.requests.users[row], lists.candidates.items[row, place], lists.requests.at_us[row], strict=True)
    assert dict(zip(keys, lists.label[row, place], strict=True)) == labels_in_window(pipeline)
    assert not lists.label[~lists.known].any()
    assert 0 < lists.label.sum() < lists.known.sum()
    start, end = pipeline.window("rank")
    assert ((lists.requests.at_us >= start) & (lists.requests.at_us <= cuts.test_us - WINDOW)).all()
    counts = pipeline.candidate_lists("rank").manifest.metrics
    asked = pl.read_parquet(pipeline.tables.path / "requests.parquet")["at"].dt.timestamp("us")
    assert counts["censored"] == SHOWN * ((asked > end - WINDOW) & (asked < end)).sum() > 0
    assert counts["labelled"] == lists.known.sum() == counts["impressions"] - counts["censored"]
    assert (counts["requests"], counts["positive"]) == (len(lists), lists.label.sum())


def test_nothing_at_or_after_the_cut_reaches_training(pipeline):
    """Neither a request nor an outcome nor what is known of a user; and the log may end at the cut without a difference."""
    lists = pipeline.lists("rank")
    rows = lists.requests.history.rows()
    assert (lists.requests.history.at_us < lists.requests.at_us[rows]).all()
    assert lists.requests.at_us.max() + WINDOW <= pipeline.cuts.test_us
    tables, task, (start, cut) = pipeline.tables.path, pipeline.plan.tasks_of("rank"), pipeline.window("rank")
    whole = Impressions.between(tables, pipeline.log, task, start, cut, 10**6)
    early = pipeline.graph.store.root / "early"
    early.mkdir()
    for name in ("events", "requests"):
        table = pl.read_parquet(tables / f"{name}.parquet").filter(pl.col("at").dt.timestamp("us") < cut)
        table.write_parquet(early / f"{name}.parquet")
    pl.read_parquet(tables / "candidates.parquet").write_parquet(early / "candidates.parquet")
    known = Impressions.between(early, pipeline.log, task, start, cut, 10**6)
    assert (whole.counts, whole.label.tolist(), whole.items.tolist()) == (
        known.counts,
        known.label.tolist(),
        known.items.tolist(),
    )


def test_shown_items_stand_among_the_proposals_with_their_scores(pipeline):
    lists, start = pipeline.lists("rank"), pipeline.window("rank")[0]
    assert lists.known.sum(1).max() == SHOWN
    retrievers = {name: pipeline.load_retriever(name, final=False) for name in pipeline.plan.retrieve.use}
    asked = lists.requests.take(np.arange(20))
    proposed = propose(retrievers, asked, pipeline.plan.retrieve.k, pipeline.allowed(asked, start))
    missed = 0
    for row in range(20):
        names = dict(zip(proposed.items[row].tolist(), range(proposed.items.shape[1]), strict=True))
        for column in np.flatnonzero(lists.candidates.there[row]):
            item = int(lists.candidates.items[row, column])
            missed += item not in names
            assert item in names or lists.known[row, column], "what nobody proposed is there because it was shown"
            for name in retrievers:
                given = proposed.scores[name][row, names[item]] if item in names else np.nan
                np.testing.assert_equal(lists.candidates.scores[name][row, column], given)
            assert np.isfinite(lists.candidates.scores["prerank"][row, column])
    assert missed > 0
    others = lists.candidates.there & ~lists.known
    assert 0 < others.sum(1).max() <= pipeline.plan.prerank.keep


def test_the_ranker_learns_what_becomes_of_impressions(built):
    """Better than the share of positives, which is all that a constant can know; every figure with n, interval and test."""
    report = json.loads((built / "report.json").read_text())
    rows = {row["metric"]: row for row in report["rows"] if row["method"] == "dcnv2" and "impressions of look" in row["split"]}
    assert set(rows) == {"auc", "gauc", "log_loss", "normalized_entropy", "calibration_ratio", "ece"}
    assert all(row["stage"] == "rank" and row["baseline"] == BASE_RATE and row["n"] > 10 for row in rows.values())
    assert all(row["lo"] <= row["value"] <= row["hi"] for row in rows.values())
    assert rows["auc"]["diff_lo"] > 0.1
    assert rows["gauc"]["value"] > 0.6
    told = report["facts"]["impressions to rank"]
    assert told["task"] == 'look: "view" within 2 hours of being shown, credited to the last impression'
    assert "are censored" in told["learned from"]
    assert "are censored" in told["tested on"]


def with_values(pipeline, **sections):
    values = read_toml(pipeline.plan.folder / "shop.toml")
    plan = plan_from({**values, **sections}, where="shop.toml", folder=pipeline.plan.folder)
    return replace(pipeline, plan=plan, graph=Graph(pipeline.graph.store))


def test_a_listwise_ranker_has_figures_of_order_alone(pipeline, built):
    toml = pipeline.plan.folder / "listwise.toml"
    toml.write_text((pipeline.plan.folder / "shop.toml").read_text().replace("pointwise", "listwise"))
    again = build(toml, built, name="listwise")
    assert not any(name.startswith(("retrieve", "prerank", "candidates")) for name in again.made), "the lists stay"
    rows = {row.metric for row in again.measured.rows if "impressions" in row.split}
    assert rows == {"auc", "gauc"}


def test_a_calibrated_ranker_is_measured_before_and_after_and_serves_what_it_was_measured_by(pipeline, built):
    toml, old = pipeline.plan.folder / "calibrated.toml", (pipeline.plan.folder / "shop.toml").read_text()
    toml.write_text(old.replace('task = "look"\n[rank', 'task = "look"\ncalibrate = "platt"\n[rank'))
    folder = built.parent / "calibrated"
    (folder / "store").parent.mkdir()
    (folder / "store").symlink_to(built / "store")
    again = build(toml, folder, name="calibrated")
    assert again.made[:1] == ["calibration platt"], "nothing before it is made anew"
    assert not any(name.startswith(("retrieve", "prerank", "candidates", "rank dcnv2")) for name in again.made)
    rows = {(row.method, row.metric): row.value for row in again.measured.rows if "impressions" in row.split}
    for metric in ("gauc", "auc"):
        assert rows["dcnv2, platt", metric] == pytest.approx(rows["dcnv2", metric], abs=1e-9), "its order is the ranker's"
    assert rows["dcnv2, platt", "calibration_ratio"] != rows["dcnv2", "calibration_ratio"]
    calibrated = open_run(folder)
    told = again.measured.facts["calibration of rank"]
    assert set(told) == {"by", "fitted on", "normalized entropy", "calibration ratio", "ece"}
    (fits, held), found, serves = calibrated._apart("rank"), calibrated.calibration, calibrated.cascade().scorings[-1].calibrated
    assert found is not None
    assert held.known is not None
    assert serves is not None
    metrics = found.manifest.metrics
    assert metrics["rows"] == held.known.sum()
    assert set(fits.requests.ids).isdisjoint(held.requests.ids)
    assert held.requests.at_us.min() >= fits.requests.at_us.max()
    assert metrics["after"]["calibration ratio"] == pytest.approx(1, abs=0.01), "on its own rows, up to the smoothed labels"
    assert [curve.method for curve in again.measured.curves] == ["dcnv2", "dcnv2, platt"]
    html = (folder / "report.html").read_text()
    assert "Do probabilities hold?" in html
    assert "dcnv2, platt: predicted against observed" in html
    requests = calibrated.lists("rank").requests.take(np.arange(5))
    before, after = (one.cascade().candidates(requests) for one in (with_values(pipeline), calibrated))
    np.testing.assert_array_equal(before.items, after.items)
    a, b = serves.own.weights
    np.testing.assert_allclose(after.scores["rank"], a * before.scores["rank"] + b, rtol=1e-5, atol=1e-5)


def test_a_sample_of_requests_keeps_their_lists_whole(pipeline):
    start, end = pipeline.window("rank")
    task, tables = pipeline.plan.tasks_of("rank"), pipeline.tables.path
    some, every = (Impressions.between(tables, pipeline.log, task, start, end, most) for most in (7, 10**6))
    assert len(some) == 7
    assert some.counts == every.counts
    rows = {(user, at): items.tolist() for user, at, items in zip(every.users, every.at_us, every.items, strict=True)}
    assert all(rows[user, at] == items.tolist() for user, at, items in zip(some.users, some.at_us, some.items, strict=True))


def test_the_pre_ranker_can_learn_from_them_too(pipeline):
    prerank = {"use": "two_tower", "keep": 10, "learn_from": "impressions", "task": "look", "two_tower": {"train": {"epochs": 1}}}
    mine = with_values(pipeline, prerank=prerank)
    lists, (start, end) = mine.lists("prerank"), mine.window("prerank")
    assert ((lists.requests.at_us >= start) & (lists.requests.at_us + WINDOW <= end)).all()
    assert mine.scorer("prerank").manifest.metrics["epochs"] == 1


def test_a_window_in_which_nothing_closes_is_an_error(pipeline):
    with pytest.raises(
        DataError, match=r"\[rank\]: its window has \d+ impressions and none that can be labelled: \d+ are censored"
    ):
        with_values(pipeline, tasks={"look": {"event": "view", "window_h": 1000}}).lists("rank")


def test_a_task_of_no_kind_is_an_error(pipeline):
    with pytest.raises(ConfigError, match=r'event = "vieww": the log has no such kind. Did you mean "view"'):
        with_values(pipeline, tasks={"look": {"event": "vieww", "window_h": 2}}).lists("rank")


def test_consent_holds(pipeline, tmp_path):
    """Impressions of users who refuse training as of the cut are not there."""
    for name in ("events", "requests", "candidates", "users"):
        (tmp_path / f"{name}.parquet").write_bytes((pipeline.tables.path / f"{name}.parquet").read_bytes())
    users = pl.read_parquet(tmp_path / "users.parquet").with_columns(consent_train=pl.col("user_id") != "c3")
    users.write_parquet(tmp_path / "users.parquet")
    start, end = pipeline.window("rank")
    found = Impressions.between(tmp_path, pipeline.log, pipeline.plan.tasks_of("rank"), start, end, 10**6)
    everyone = Impressions.between(pipeline.tables.path, pipeline.log, pipeline.plan.tasks_of("rank"), start, end, 10**6)
    assert set(everyone.users) - set(found.users) == set(pipeline.log.users.encode(["c3"]))


DATA = {"events": "e.csv", "requests": "r.parquet", "candidates": "c.parquet"}
TASKS = {"purchase": {"event": "buy", "window_h": 72}}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"rank": {"learn_from": "impressions"}}, r'\[rank\]: learn_from = "impressions" needs a task. Name one of: purchase'),
        (
            {"rank": {"learn_from": "impressions", "task": "purchas"}},
            r'\[rank\]: task = "purchas" is not a task. Did you mean "purchase"\? Tasks: purchase',
        ),
        (
            {"rank": {"learn_from": "impresions"}},
            r"\[rank\]: \"learn_from\" is 'impresions': input should be 'proposals' or 'impr",
        ),
        ({"rank": {"task": "purchase"}}, r'task = "purchase" is of impressions, and learn_from is "proposals"'),
        ({"rank": {"learn_from": "impressions", "task": "purchase"}, "data": {"events": "e.csv"}}, "needs what was shown"),
        ({"rank": {"calibrate": "platt"}}, r"\[rank\]: calibrate makes probabilities right, .*Set loss = .pointwise."),
        ({"rank": {"use": "lambdamart", "calibrate": "beta"}}, r"\[rank\]: calibrate makes probabilities right"),
        ({"rank": {"calibrate_by": "user.age"}}, r'calibrate_by = "user.age" shifts what calibrate makes. Set calibrate'),
        ({"rank": {"calibrate": "plat"}}, r"\[rank\]: \"calibrate\" is 'plat'"),
        ({"task": TASKS}, r"\[task\] is not a section. Did you mean tasks\?"),
        ({"tasks": {"event": "buy"}}, r"\[tasks\] event is 'buy', expected a section \[tasks.event\]"),
        (
            {"tasks": {"purchase": {"event": "buy", "window": 2}}},
            r'\[tasks.purchase\]: "window" is not a key. Did you mean "window_h"',
        ),
        ({"tasks": TASKS, "kinds": {"by": {}}}, r'\[tasks.purchase\]: event = "buy" is not declared. Did you mean "by"'),
        (
            {"prerank": {"use": "two_tower", "learn_from": "impressions", "task": "buy"}},
            r'\[prerank\]: task = "buy" is not a task',
        ),
    ],
)
def test_mistakes_in_the_toml(tmp_path, values, says):
    with pytest.raises(ConfigError, match=says):
        plan_from({"data": DATA, "tasks": TASKS, **values}, where="shop.toml", folder=tmp_path)


def test_the_shop_is_as_described(tmp_path):
    toml = write_shown_shop(tmp_path, LEARN, TASK)
    assert read_toml(toml)["rank"]["learn_from"] == "impressions"
    assert len(pl.read_parquet(tmp_path / "candidates.parquet")) == SHOWN * len(pl.read_parquet(tmp_path / "requests.parquet"))
