"""The recipe of preference discerning, worked through on a planted catalogue."""

import numpy as np
import polars as pl
import pytest

from headrace.contracts.requests import Allowed, Requests
from headrace.methods.retrieve.mender import FEATURE
from headrace.recipes import mender
from headrace.recipes.discerning import AXES, opened
from headrace.recipes.mender import FURTHER
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report, text
from headrace.recipes.steered import Bar, Nearest
from headrace.recipes.tastes import write_tastes
from headrace.testing.examples import history_of


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reproduce("mender", "smoke", tmp_path_factory.mktemp("mender"))


def figure(report, arm: str, metric: str, axis: str) -> float:
    return next(float(one.value) for one in report.arms if (one.arm, one.metric, one.protocol) == (arm, metric, axis))


def test_every_claim_has_a_verdict_and_every_axis_its_figures(report, tmp_path):
    assert len(report.claims) == len(FURTHER)
    assert set(report.protocols) == set(AXES)
    assert "recommendation (oracle)" in text(report)  # an oracle is named one wherever its figures stand
    assert {one.metric for one in report.arms if one.protocol == "sentiment"} >= {"m@5", "m@10"}
    assert not any(one.metric.startswith("m@") for one in report.arms if one.protocol != "sentiment")
    report.write(tmp_path)
    assert read_report(tmp_path / "mender.json") == report


def test_bars_are_other_arms_figures_scaled(report):
    once = figure(report, "no preference", "recall@10", AXES[0])
    assert figure(report, "1.2 x no preference", "recall@10", AXES[0]) == pytest.approx(1.2 * once)
    main = figure(report, "mender", "recall@10", AXES[0])
    assert figure(report, "a quarter of axis 1", "recall@10", AXES[0]) == pytest.approx(main / 4)
    assert figure(report, "axis 1", "recall@10", AXES[4]) == pytest.approx(main)  # the same users


def test_planted_tastes_are_found_by_likeness_alone(report):
    assert figure(report, "nearest", "recall@10", AXES[0]) > 0.6


def test_claims_speak_of_arms_that_are_there_and_of_metrics_that_their_axis_has():
    work = mender.work("smoke")
    for claim in (mender.CLAIM, *FURTHER):
        assert {claim.better, claim.than} <= work.arms.keys()
        assert claim.metric.startswith("m@") == (claim.protocol == "sentiment")
    assert all(one.of in work.arms for one in work.arms.values() if isinstance(one, Bar))


def test_what_is_learned_from_knows_nothing_of_the_test(tmp_path):
    """Codes, vectors and what was wanted in training stay, to the bit, when the last steps are of other items."""
    write_tastes(tmp_path, users=30, steps=8)
    first = opened(tmp_path, codes=8, dim=8)
    events = pl.read_parquet(tmp_path / "events.parquet")
    last = pl.col("at") == pl.col("at").max().over("user_id")
    other = {"item_id": pl.lit("i0"), "value": pl.lit(1.0)}
    turned = events.with_columns(**{name: pl.when(last).then(to).otherwise(name) for name, to in other.items()})
    turned.write_parquet(tmp_path / "events.parquet")
    second = opened(tmp_path, codes=8, dim=8)
    train = first.held.train().history
    assert np.array_equal(train.items, second.held.train().history.items)
    assert np.array_equal(first.vectors, second.vectors)
    assert first.artifacts["semantic_ids"].fingerprint == second.artifacts["semantic_ids"].fingerprint
    wanted = [
        [[one.wishes[False].pool.texts[place] if place >= 0 else "" for place in row] for row in own]
        for one in (first, second)
        for own in [one.wishes[False].preferences.as_of(train.rows().astype(np.int32), train.at_us).tolist()]
    ]
    assert wanted[0] == wanted[1]
    assert not np.array_equal(first.asked[AXES[0]][0].items, second.asked[AXES[0]][0].items)


def test_likeness_hears_polarity_only_where_it_is_asked_to():
    vectors = np.eye(4, dtype=np.float32)
    asked = np.zeros((1, 2, 5), np.float32)
    asked[0, 0, [1, -1]] = 1, -1
    requests = Requests(np.array(["r"]), np.ones(1, np.int32), np.zeros(1, np.int64), history_of([[]]), {FEATURE: asked})
    items = np.array([False, True, True, True])
    first = {signed: Nearest(vectors, items, signed=signed).retrieve(requests, 3, Allowed()).items[0] for signed in (True, False)}
    assert first[False][0] == 1
    assert first[True][-1] == 1
