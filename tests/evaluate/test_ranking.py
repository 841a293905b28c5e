import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, R, Success, nDCG

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.rng import rng
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import NAMES, Metric, measure, parse_metric


def one_right_item_at(*ranks: int, depth: int = 12) -> tuple[RankedLists, Relevant]:
    """Request r's only right item stands at ranks[r]."""
    items = np.tile(np.arange(2, depth + 2, dtype=np.int32), (len(ranks), 1))
    for row, rank in enumerate(ranks):
        items[row, rank - 1] = 1
    lists = RankedLists(np.arange(len(ranks)), items)
    return lists, Relevant.from_pairs(np.arange(len(ranks)), np.ones(len(ranks), np.int32), len(ranks))


def test_golden_values():
    values = measure(*one_right_item_at(3, 11), ("ndcg@10", "recall@10", "mrr@10", "map@10", "hit_rate@10"))
    assert values["ndcg@10"].tolist() == [0.5, 0.0]
    assert values["recall@10"].mean() == 0.5
    assert values["mrr@10"].tolist() == values["map@10"].tolist() == [1 / 3, 0.0]
    assert values["hit_rate@10"].tolist() == [1.0, 0.0]


def test_ideal_is_cut_at_k():
    lists = RankedLists(np.array([0]), np.array([[1, 2, 3]], np.int32))
    relevant = Relevant(np.array([0, 5]), np.arange(1, 6, dtype=np.int32))
    values = measure(lists, relevant, ("ndcg@2", "recall@2", "map@2"))
    assert values["ndcg@2"][0] == pytest.approx(1.0)
    assert values["recall@2"][0] == pytest.approx(2 / 5)
    assert values["map@2"][0] == pytest.approx(2 / 5)


@pytest.fixture(scope="module")
def random_runs():
    stream = rng(0, "runs")
    n, catalogue, depth = 200, 60, 25
    items = np.argsort(stream.random((n, catalogue)), axis=1)[:, :depth].astype(np.int32) + 1
    chosen = stream.random((n, catalogue)) < stream.choice([0.02, 0.2, 0.6], (n, 1))
    chosen[:, 0] |= ~chosen.any(1)
    rows, columns = np.nonzero(chosen)
    grades = stream.integers(1, 5, len(rows)).astype(np.float64)
    relevant = Relevant.from_pairs(rows, (columns + 1).astype(np.int32), n, grades)
    qrels = [ir_measures.Qrel(str(row), str(column + 1), int(g)) for row, column, g in zip(rows, columns, grades, strict=True)]
    run = [
        ir_measures.ScoredDoc(str(row), str(item), float(depth - slot))
        for row, line in enumerate(items.tolist())
        for slot, item in enumerate(line)
    ]
    return RankedLists(np.arange(n), items), relevant, qrels, run


@pytest.mark.parametrize("k", [1, 5, 20])
def test_agreement_with_ir_measures(random_runs, k):
    lists, relevant, qrels, run = random_runs
    theirs = {
        f"recall@{k}": R @ k,
        f"mrr@{k}": RR @ k,
        f"map@{k}": AP @ k,
        f"hit_rate@{k}": Success @ k,
        f"graded_ndcg@{k}": nDCG @ k,
    }
    ours = measure(lists, relevant, [*theirs, f"ndcg@{k}"])
    for name, measured in theirs.items():
        assert_same(ours[name], ir_measures.iter_calc([measured], qrels, run))
    binary = [qrel._replace(relevance=1) for qrel in qrels]
    assert_same(ours[f"ndcg@{k}"], ir_measures.iter_calc([nDCG @ k], binary, run))


def assert_same(ours, theirs):
    expected = {int(value.query_id): value.value for value in theirs}
    assert len(expected) == len(ours)
    np.testing.assert_allclose(ours, [expected[row] for row in range(len(ours))], atol=1e-9, rtol=0)


@st.composite
def requests(draw):
    order = draw(st.permutations(range(1, 11)))
    right = draw(st.sets(st.integers(1, 14), min_size=1))
    return RankedLists(np.array([0]), np.array([order], np.int32)), Relevant(
        np.array([0, len(right)]), np.array(sorted(right), np.int32)
    )


ALL = ("recall", "ndcg", "mrr", "map", "hit_rate")


@given(requests(), st.integers(1, 10))
def test_every_metric_lies_between_0_and_1_and_agrees_on_no_hit(request_, k):
    lists, relevant = request_
    values = {name: measure(lists, relevant, [f"{name}@{k}"])[f"{name}@{k}"][0] for name in ALL}
    assert all(0 <= value <= 1 + 1e-12 for value in values.values())
    assert len({value == 0 for value in values.values()}) == 1


@given(requests(), st.integers(1, 9))
def test_moving_a_right_item_up_never_hurts(request_, at):
    lists, relevant = request_
    items = lists.items.copy()
    if items[0, at] in relevant.items and items[0, at - 1] not in relevant.items:
        items[0, [at - 1, at]] = items[0, [at, at - 1]]
    better = RankedLists(lists.users, items)
    for name in ALL:
        metric = f"{name}@5"
        assert measure(better, relevant, [metric])[metric][0] >= measure(lists, relevant, [metric])[metric][0] - 1e-12


def test_a_request_with_nothing_to_find_has_no_value():
    lists = RankedLists(np.arange(2), np.array([[1], [1]], np.int32))
    relevant = Relevant(np.array([0, 0, 1]), np.array([1], np.int32))
    for values in measure(lists, relevant, [f"{name}@1" for name in ALL]).values():
        assert math.isnan(values[0])
        assert values[1] == 1.0


def test_a_hole_keeps_its_rank():
    lists = RankedLists(np.array([0]), np.array([[0, 0, 1]], np.int32))
    assert measure(lists, Relevant(np.array([0, 1]), np.array([1], np.int32)), ["ndcg@3"])["ndcg@3"].tolist() == [0.5]


def test_too_short_lists_are_refused():
    with pytest.raises(DataError, match="recall@20 needs 20 slots and the lists have 12"):
        measure(*one_right_item_at(1), ["ndcg@10", "recall@20"])


def test_a_sampled_figure_says_so():
    lists, relevant = one_right_item_at(3)
    sampled = RankedLists(lists.users, lists.items, sampler="uniform-100")
    assert list(measure(sampled, relevant, ["ndcg@10"])) == ["ndcg@10 (sampled: uniform-100)"]


@pytest.mark.parametrize("name", NAMES)
def test_names_parse(name):
    assert parse_metric(f"{name}@10") == Metric(name, 10)
    assert str(parse_metric(f"{name}@7")) == f"{name}@7"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ndgc@10", 'Did you mean "ndcg@10"'),
        ("ndcg", 'Did you mean "ndcg@10"'),
        ("Recall@5", 'Did you mean "recall@5"'),
        ("mrr@0", 'Did you mean "mrr@10"'),
        ("map@ten", "Metrics: recall@k, ndcg@k"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(text, says):
    with pytest.raises(ConfigError, match=says):
        parse_metric(text)
