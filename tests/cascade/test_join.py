import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.cascade.join import join, stacked
from headrace.contracts.requests import Candidates
from headrace.contracts.rng import rng


def listed(name, rows):
    width = max((len(row) for row in rows), default=0)
    items = np.array([list(row) + [0] * (width - len(row)) for row in rows], np.int32).reshape(len(rows), width)
    return Candidates(items, {name: np.where(items > 0, 100.0 - items, np.nan).astype(np.float32)})


def test_an_item_of_two_retrievers_stands_once_with_both_scores_and_first():
    joined = join({"a": listed("x", [[5, 7]]), "b": listed("y", [[9, 7]])})
    assert joined.items[0].tolist()[0] == 7
    assert sorted(joined.items[0].tolist()) == [5, 7, 9]
    place = joined.items[0].tolist().index
    assert joined.scores["a"][0, place(7)] == joined.scores["b"][0, place(7)] == 93
    assert np.isnan(joined.scores["b"][0, place(5)])


rows = st.lists(st.lists(st.integers(1, 12), unique=True, max_size=5), min_size=3, max_size=3)


@given(first=rows, second=rows)
def test_the_union_is_complete_and_each_score_is_kept(first, second):
    proposals = {"a": listed("a", first), "b": listed("b", second)}
    joined = join(proposals)
    for row in range(3):
        there = joined.items[row][joined.items[row] > 0].tolist()
        assert sorted(there) == sorted(set(first[row]) | set(second[row]))
        for name, lists in (("a", first), ("b", second)):
            scored = {item: score for item, score in zip(joined.items[row].tolist(), joined.scores[name][row], strict=True)
                      if not np.isnan(score)}  # fmt: skip
            assert scored == {item: 100.0 - item for item in lists[row]}


@given(first=rows, second=rows)
def test_fused_order_is_reciprocal_rank_fusion(first, second):
    joined = join({"a": listed("a", first), "b": listed("b", second)})
    for row in range(3):
        fused: dict[int, float] = {}
        for ranked in (first[row], second[row]):
            for place, item in enumerate(ranked):
                fused[item] = fused.get(item, 0) + 1 / (61 + place)
        values = [fused[item] for item in joined.items[row].tolist() if item]
        assert values == sorted(values, reverse=True)


def test_stacking_widens_with_empty_places():
    whole = stacked([listed("a", [[1]]), listed("a", [[2, 3]])])
    assert whole.items.tolist() == [[1, 0], [2, 3]]
    assert np.isnan(whole.scores["a"][0, 1])


def test_a_request_alone_is_what_it_is_among_others():
    draw, proposals = rng(0, "proposals"), {}
    for name, width in (("a", 6), ("b", 4), ("c", 0)):
        items = np.array([draw.permutation(9)[:width] for _ in range(20)], np.int32).reshape(20, width)
        proposals[name] = Candidates(items, {name: draw.normal(size=items.shape).astype(np.float32)})
    among = join(proposals)
    for row in range(20):
        alone = join({name: one.take([row]) for name, one in proposals.items()})
        width = alone.items.shape[1]
        assert alone.items[0].tolist() == among.items[row, :width].tolist()
        assert not among.items[row, width:].any()
        for name, scores in alone.scores.items():
            assert np.array_equal(scores[0], among.scores[name][row, :width], equal_nan=True)
    nothing = join({"a": Candidates(np.zeros((1, 2), np.int32), {"a": np.full((1, 2), np.nan, np.float32)})})
    assert nothing.items.tolist() == [[0]]
