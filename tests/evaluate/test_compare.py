import logging
from typing import Any

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.rng import rng
from headrace.evaluate.beyond import Catalogue, coverage, gini
from headrace.evaluate.bootstrap import paired_difference
from headrace.evaluate.compare import compare, compare_values
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure
from headrace.evaluate.rows import accuracy

R, DEPTH = 120, 10
USERS = np.repeat(np.arange(60), 2)
RELEVANT = Relevant.from_pairs(np.arange(R), np.arange(R, dtype=np.int32) % 7 + 1, R)
WHERE: dict[str, Any] = {"stage": "retrieval", "split": "temporal", "baseline": "good", "resamples": 200}


def run(name, found, users=USERS, sampler=None):
    """Finds the right item with probability `found`, at a random rank."""
    stream = rng(0, name)
    items = np.tile(np.arange(11, 11 + DEPTH, dtype=np.int32), (R, 1))
    hit = stream.random(R) < found
    items[np.arange(R)[hit], stream.integers(0, DEPTH, R)[hit]] = RELEVANT.items[hit]
    return RankedLists(users, items, sampler)


GOOD, BAD = run("good", 0.8), run("bad", 0.1)


def test_rows_of_baseline_and_method():
    rows = compare({"bad": BAD, "good": GOOD}, RELEVANT, **WHERE)
    assert [(row.method, row.metric) for row in rows] == [
        ("bad", "recall@10"),
        ("good", "recall@10"),
        ("bad", "ndcg@10"),
        ("good", "ndcg@10"),
    ]
    bad: Any
    bad, good = rows[2:]
    assert (good.baseline, good.diff, good.diff_lo, good.diff_hi, good.p) == (None,) * 5
    assert (bad.baseline, bad.n, bad.slice, bad.stage, bad.split) == ("good", 60, "all", "retrieval", "temporal")
    assert bad.diff == pytest.approx(bad.value - good.value)
    assert bad.diff_lo < bad.diff < bad.diff_hi < 0
    assert bad.lo < bad.value < bad.hi
    assert bad.p == pytest.approx(2 * 2 / 201)  # the least that 200 resamples can show, twice for two comparisons


def test_a_row_is_the_paired_difference_of_the_same_values():
    row = compare({"bad": BAD, "good": GOOD}, RELEVANT, metrics=["ndcg@5"], **WHERE)[0]
    bad, good = (measure(lists, RELEVANT, ["ndcg@5"])["ndcg@5"] for lists in (BAD, GOOD))
    single = paired_difference(USERS, bad, good, resamples=200)
    assert (row.diff, row.diff_lo, row.diff_hi, row.p) == pytest.approx((single.value, single.lo, single.hi, single.p))


def test_equal_methods_do_not_differ():
    twin = compare({"good": GOOD, "twin": GOOD}, RELEVANT, **WHERE)[1]
    assert (twin.diff, twin.diff_lo, twin.diff_hi, twin.p) == (0.0, 0.0, 0.0, 1.0)


def test_p_is_adjusted_over_all_slices_and_metrics():
    parts = {f"part {at}": USERS >= 0 for at in range(5)}
    once = compare({"bad": BAD, "good": GOOD}, RELEVANT, metrics=["ndcg@10"], **{**WHERE, "resamples": 999})[0]
    often = compare({"bad": BAD, "good": GOOD}, RELEVANT, metrics=["ndcg@10"], slices=parts, **{**WHERE, "resamples": 999})
    assert once.p is not None
    assert [row.p for row in often if row.p is not None] == pytest.approx([5 * once.p] * 5)


def test_a_mask_picks_requests_and_users_average_what_is_left():
    mask = USERS < 10
    mask[0] = False
    row = compare({"good": GOOD}, RELEVANT, slices={"few": mask}, metrics=["recall@10"], **WHERE)[0]
    values = measure(GOOD, RELEVANT, ["recall@10"])["recall@10"]
    assert row.n == 10
    assert row.value == pytest.approx(np.mean([values[mask & (user == USERS)].mean() for user in range(10)]))


def test_an_item_slice_restricts_what_is_relevant():
    first = RELEVANT.restricted(np.arange(8) == 1)
    row = compare({"good": GOOD}, RELEVANT, slices={"item 1": first}, metrics=["recall@10"], **WHERE)[0]
    values = measure(GOOD, first, ["recall@10"])["recall@10"]
    assert row.n == len(np.unique(USERS[first.counts > 0])) < 60
    assert row.value == pytest.approx(np.nanmean(values))


def test_a_slice_without_users_gives_no_row_and_says_so(caplog):
    nothing: dict[str, Any] = {"nobody": USERS < 0, "nothing": RELEVANT.restricted(np.zeros(8, np.bool_)), "all": USERS >= 0}
    with caplog.at_level(logging.INFO):
        rows = compare({"good": GOOD}, RELEVANT, slices=nothing, metrics=["recall@10"], **WHERE)
    assert [row.slice for row in rows] == ["all"]
    assert [record.getMessage().split('"')[1] for record in caplog.records] == ["nobody", "nothing"]


def test_one_user_has_no_interval_and_no_significance():
    rows = compare({"bad": BAD, "good": GOOD}, RELEVANT, slices={"one": USERS == 3}, metrics=["recall@10"], **WHERE)
    assert [(row.n, np.isnan(row.lo), row.p) for row in rows] == [(1, True, 1.0), (1, True, None)]


def test_a_sampled_run_is_named_so_in_every_row():
    sampled = run("sampled", 0.5, sampler="uniform-100")
    rows = compare({"good": sampled}, RELEVANT, **WHERE)
    assert {row.metric for row in rows} == {"recall@10 (sampled: uniform-100)", "ndcg@10 (sampled: uniform-100)"}


def test_values_measured_elsewhere_get_the_same_rows():
    values = {
        name: {method: measure(lists, RELEVANT, [name])[name] for method, lists in (("bad", BAD), ("good", GOOD))}
        for name in ("recall@10", "ndcg@10")
    }
    assert compare_values(values, USERS, **WHERE) == compare({"bad": BAD, "good": GOOD}, RELEVANT, **WHERE)


def test_a_further_baseline_gives_further_rows_of_what_is_no_baseline():
    fair = run("fair", 0.4)
    rows = compare({"bad": BAD, "good": GOOD, "fair": fair}, RELEVANT, further=["fair", "good"], metrics=["ndcg@10"], **WHERE)
    assert [(row.method, row.baseline) for row in rows] == [("bad", "good"), ("good", None), ("fair", "good"), ("bad", "fair")]
    alone = compare({"bad": BAD, "fair": fair}, RELEVANT, metrics=["ndcg@10"], **{**WHERE, "baseline": "fair"})[0]
    assert (rows[3].diff, rows[3].diff_lo, rows[3].diff_hi) == pytest.approx((alone.diff, alone.diff_lo, alone.diff_hi), abs=0.02)
    assert rows[3].diff == pytest.approx(rows[0].value - rows[2].value)
    assert rows[3].value == rows[0].value


def test_a_catalogue_adds_what_accuracy_does_not_say():
    catalogue = Catalogue(np.arange(21) > 0, np.arange(21), np.arange(21, dtype=np.int32)[:, None] % 3, k=5)
    rows = compare({"bad": BAD, "good": GOOD}, RELEVANT, metrics=["ndcg@10"], catalogue=catalogue, **WHERE)
    beyond = [row for row in rows if row.beyond_accuracy]
    assert [(row.metric, row.method) for row in beyond] == [
        (f"{name}@5", method) for name in ("coverage", "gini", "novelty", "diversity") for method in ("bad", "good")
    ]
    assert all(row.slice == "all" and row.lo <= row.value <= row.hi for row in beyond)
    assert beyond[1].value == coverage(GOOD, catalogue.available, 5)
    assert beyond[3].value == gini(GOOD, catalogue.available, 5)
    assert accuracy(rows) == rows[:2]
    raw = [row.p for row in compare({"bad": BAD, "good": GOOD}, RELEVANT, metrics=["ndcg@10"], **WHERE)]
    assert raw[0] is not None
    assert rows[0].p == pytest.approx(5 * raw[0], rel=0.6), "Holm counts all five comparisons"


def test_beyond_accuracy_too_says_what_was_sampled():
    catalogue = Catalogue(np.arange(21) > 0, np.arange(21), k=5)
    rows = compare({"good": run("sampled", 0.5, sampler="uniform-100")}, RELEVANT, catalogue=catalogue, **WHERE)
    assert {row.metric for row in rows if row.beyond_accuracy} == {
        f"{name}@5 (sampled: uniform-100)" for name in ("coverage", "gini", "novelty")
    }


def test_a_request_that_one_method_leaves_empty_has_no_novelty_for_any():
    some = RankedLists(USERS, np.where(USERS[:, None] < 5, GOOD.items, 0))
    catalogue = Catalogue(np.arange(21) > 0, np.arange(21), k=5)
    rows = compare({"good": GOOD, "some": some}, RELEVANT, metrics=["ndcg@10"], catalogue=catalogue, **WHERE)
    assert {row.n for row in rows if row.metric == "novelty@5"} == {5}
    nothing = RankedLists(USERS, np.zeros_like(GOOD.items))
    rows = compare({"good": GOOD, "nothing": nothing}, RELEVANT, metrics=["ndcg@10"], catalogue=catalogue, **WHERE)
    assert {row.metric for row in rows} == {"ndcg@10", "coverage@5"}, "no gini without an exposure, no novelty without an item"


def test_metrics_may_be_defined_for_different_requests():
    some = np.where(USERS < 5, 1.0, np.nan)
    rows = compare_values({"a": {"good": some}, "b": {"good": some * 0 + 2}, "c": {"good": np.ones(R)}}, USERS, **WHERE)
    assert {row.metric: (row.n, row.value) for row in rows} == {"a": (5, 1.0), "b": (5, 2.0), "c": (60, 1.0)}


def lacking():
    return compare_values({"novelty@5": {"good": np.ones(R), "other": np.where(USERS == 2, np.nan, 1)}}, USERS, **WHERE)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: compare({"good": GOOD}, RELEVANT, further=["god"], **WHERE), 'baseline "god" is not a run. Did you mean "good"'),
        (lambda: compare({"god": GOOD}, RELEVANT, **WHERE), 'Did you mean "god"'),
        (lambda: compare({"good": GOOD, "x": run("x", 0.1, users=USERS[::-1])}, RELEVANT, **WHERE), "request 0 is of user 59"),
        (lambda: compare({"good": GOOD, "x": RankedLists(USERS[:5], BAD.items[:5])}, RELEVANT, **WHERE), '"x" has 5 requests'),
        (lambda: compare({"good": GOOD, "x": run("x", 0.1, sampler="u")}, RELEVANT, **WHERE), '"x" ranks u, "good" all items'),
        (lambda: compare({"good": GOOD}, Relevant(np.array([0]), np.zeros(0, np.int32)), **WHERE), "relevant has 0"),
        (lambda: compare({"good": GOOD}, RELEVANT, **{**WHERE, "slices": {"s": USERS}}), 'slice "s": expected a bool mask'),
        (lacking, 'novelty@5: "other" has no value for request 4'),
    ],
)
def test_what_is_refused(ask, says):
    with pytest.raises(DataError, match=says):
        ask()


def test_an_unknown_metric_is_refused():
    with pytest.raises(ConfigError, match="recal@10"):
        compare({"good": GOOD}, RELEVANT, metrics=["recal@10"], **WHERE)
