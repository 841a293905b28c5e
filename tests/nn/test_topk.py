import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headrace.contracts.rng import mix, rng, seed_of
from headrace.nn.topk import top_k

few_values = st.sampled_from([-np.inf, -2.5, -0.0, 0.0, 1e-30, 1.0, 3e38])


def slow_top_k(scores, k, seed):
    """Sort each row by (score, draw), with floats compared as floats."""
    found = []
    for row in scores:
        draws = mix(np.arange(len(row), dtype=np.uint64), seed_of(seed, "ties")) >> np.uint64(32)
        order = sorted(range(len(row)), key=lambda item: (row[item], draws[item]), reverse=True)
        found.append([item if row[item] > -np.inf else 0 for item in order[:k]])
    return found


@given(
    arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(1, 9)), elements=few_values),
    st.integers(1, 12),
    st.integers(0, 3),
)
def test_it_agrees_with_sorting(scores, k, seed):
    best = top_k(scores, k, "stage", seed=seed)
    assert best.items.tolist() == slow_top_k(scores, k, seed)
    there = best.items > 0
    kept = np.take_along_axis(scores, best.items, 1)
    assert np.array_equal(best.scores["stage"][there], kept[there])


@given(arrays(np.float32, (2, 30), elements=st.floats(-1e6, 1e6, width=32)), st.integers(1, 30))
def test_any_floats_are_ordered(scores, k):
    best = top_k(scores, k, "stage").scores["stage"]
    assert np.array_equal(best, -np.sort(-scores, axis=1)[:, :k])


@given(
    arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(1, 30)), elements=few_values),
    st.integers(1, 12),
    st.integers(0, 3),
)
def test_the_order_of_the_columns_has_no_say(scores, k, seed):
    scores[:, 0] = -np.inf
    columns = rng(0, "columns").permutation(scores.shape[1])
    wanted = top_k(scores, k, "stage", seed=seed)
    for items in (columns, np.broadcast_to(columns, scores.shape)):
        found = top_k(scores[:, columns], k, "stage", seed=seed, items=items)
        np.testing.assert_array_equal(found.items, wanted.items)
        np.testing.assert_array_equal(found.scores["stage"], wanted.scores["stage"])


def test_a_column_may_stand_for_another_item_in_each_row():
    found = top_k(np.array([[1, 3, -np.inf], [5, 4, 6]], np.float32), 2, "stage", items=np.array([[7, 8, 9], [70, 80, 90]]))
    assert found.items.tolist() == [[8, 7], [90, 70]]
    assert found.scores["stage"].tolist() == [[3, 1], [6, 5]]


def test_padding_stands_behind_with_no_score():
    best = top_k(np.array([[-np.inf, 1, -np.inf, 2]], np.float32), 4, "stage")
    assert best.items.tolist() == [[3, 1, 0, 0]]
    assert np.array_equal(best.scores["stage"], np.array([[2, 1, np.nan, np.nan]], np.float32), equal_nan=True)


def test_ties_follow_the_draw_and_not_the_number():
    scores = np.zeros((1, 1000), np.float32)
    scores[:, 0] = -np.inf
    firsts = [int(top_k(scores, 1, "stage", seed=seed).items[0, 0]) for seed in range(200)]
    assert len(set(firsts)) > 150
    # the mean of 200 uniform numbers below 1000 has a deviation of 20
    assert np.mean(firsts) == pytest.approx(500, abs=80)
    order = top_k(scores, 1000, "stage").items[0, :-1]
    assert abs(np.corrcoef(order, np.arange(999))[0, 1]) < 0.1


def test_zero_and_minus_zero_are_a_tie():
    scores = np.where(rng(0, "signs").random((1, 400)) < 0.5, np.float32(0.0), np.float32(-0.0)).astype(np.float32)
    assert top_k(scores, 400, "s").items.tolist() == top_k(np.zeros((1, 400), np.float32), 400, "s").items.tolist()


@given(arrays(np.float32, (3, 7), elements=few_values), st.integers(1, 9), st.integers(0, 3))
def test_a_row_alone_is_what_it_is_among_others(scores, k, seed):
    items = np.arange(20, 41).reshape(3, 7)
    for numbers in (None, items):
        among = top_k(scores, k, "stage", seed=seed, items=numbers)
        for row in range(3):
            alone = top_k(scores[[row]], k, "stage", seed=seed, items=None if numbers is None else numbers[[row]])
            assert alone.items.tolist() == among.items[[row]].tolist()
            assert np.array_equal(alone.scores["stage"], among.scores["stage"][[row]], equal_nan=True)


@pytest.mark.parametrize("kind", ["normal", "ties", "few", "fewer than asked", "all alike", "nothing", "high ones together"])
def test_a_long_row_alone_is_what_it_is_among_others(kind):
    draw = rng(0, "long", kind)
    row = {
        "normal": draw.normal(size=20_000), "ties": np.round(draw.normal(size=20_000)), "all alike": np.ones(20_000),
        "few": np.where(draw.random(20_000) < 0.05, draw.normal(size=20_000), -np.inf),
        "fewer than asked": np.where(np.arange(20_000) % 2000 == 7, draw.normal(size=20_000), -np.inf),
        "nothing": np.full(20_000, -np.inf), "high ones together": -np.arange(20_000.0),
    }[kind].astype(np.float32)  # fmt: skip
    among, alone = top_k(np.stack([row, row]), 150, "s"), top_k(row[None], 150, "s")
    assert alone.items.tolist() == among.items[:1].tolist()
    assert np.array_equal(alone.scores["s"], among.scores["s"][:1], equal_nan=True)
