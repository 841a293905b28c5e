"""Beam search inside the tree of codes: what it finds, and what no model can make it find."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from headrace.contracts.errors import DataError
from headrace.contracts.requests import History
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.trie import Trie
from headrace.nn.decode.beam import beam_search
from tests.nn.decode.tables import Tables, drawn_ids, drawn_tables, scores_of

seeds = st.integers(0, 2**31)


def ranking(scores: Tensor, width: int) -> tuple[list[list[int]], Tensor]:
    best = scores.sort(descending=True, stable=True)
    items = torch.where(best.values > -torch.inf, best.indices, 0)[:, :width]
    return items.tolist(), best.values[:, :width]


@settings(max_examples=40)
@given(seeds, st.integers(1, 6))
def test_as_many_beams_as_items_rank_all_of_them(seed: int, size: int) -> None:
    ids = drawn_ids(seed, 50, size, 2)
    tables = drawn_tables(seed, 3, ids.sizes)
    items, log_prob = beam_search(Tables(tables), Trie(ids), 50)
    wanted, scores = ranking(scores_of(tables, ids), 50)
    assert items.tolist() == wanted
    assert torch.equal(log_prob, scores)
    assert items.dtype == torch.int64
    assert log_prob.dtype == torch.float32


def test_few_beams_keep_the_best_prefixes_of_each_level() -> None:
    ids = drawn_ids(5, 60, 5, 2)
    tables = drawn_tables(5, 4, ids.sizes)
    items, log_prob = beam_search(Tables(tables), Trie(ids), 3)
    for row in range(4):
        kept: dict[tuple[int, ...], float] = {(): 0.0}
        for level in range(ids.levels):
            prefixes = {tuple(codes[: level + 1]) for codes in ids.codes[1:].tolist()}
            reached = {
                prefix: kept[prefix[:-1]] + float(tables[level][(row, *prefix)]) for prefix in prefixes if prefix[:-1] in kept
            }
            kept = dict(sorted(reached.items(), key=lambda one: -one[1])[:3])
        assert [tuple(ids.codes[item].tolist()) for item in items[row].tolist()] == list(kept)
        assert log_prob[row].tolist() == pytest.approx(list(kept.values()), rel=1e-5)


def test_a_prefix_is_not_favoured_for_having_few_children() -> None:
    """Item 1 is alone under code 0, which has probability 0.4; renormalised over the children it would win."""
    ids = SemanticIds(np.array([[-1, -1], [0, 0], [1, 0], [1, 1]], np.int32), (2, 2))
    first = torch.tensor([[0.4, 0.6]]).log()
    second = torch.tensor([[[0.1, 0.9], [0.7, 0.3]]]).log()
    items, log_prob = beam_search(Tables([first, second]), Trie(ids), 3)
    assert items.tolist() == [[2, 3, 1]]
    assert log_prob.exp()[0].tolist() == pytest.approx([0.42, 0.18, 0.04])


odd = st.sampled_from([0.0, 1e9, -1e9, 1e38, torch.inf, -torch.inf, torch.nan])


@given(seeds, st.lists(odd, min_size=8, max_size=8), st.integers(1, 12), st.booleans())
def test_no_logits_lead_out_of_the_catalogue(seed: int, values: list[float], beams: int, as_probabilities: bool) -> None:
    """Odd values at random codes, legal or not: catalogue items, each once, or an error that says what was found."""
    ids = drawn_ids(seed, 9, 4, 2)
    draw = np.random.default_rng(seed)
    logits = [torch.from_numpy(draw.choice(values, (2, *ids.sizes[: level + 1]))).float() for level in range(ids.levels)]
    tables = [one.log_softmax(-1) for one in logits] if as_probabilities else logits
    try:
        items, log_prob = beam_search(Tables(tables), Trie(ids), beams)
    except DataError:
        assert not all(bool((one < torch.inf).all()) for one in tables)
        return
    for row, scores in zip(items.tolist(), log_prob.tolist(), strict=True):
        found = [item for item in row if item]
        assert set(found) <= set(range(1, 10))
        assert len(set(found)) == len(found)
        assert all((item > 0) == (score > -np.inf) for item, score in zip(row, scores, strict=True))


@given(seeds, st.integers(1, 12), st.sampled_from([1e9, torch.inf, torch.nan]))
def test_mass_on_illegal_codes_changes_nothing(seed: int, beams: int, value: float) -> None:
    ids = drawn_ids(seed, 9, 4, 2)
    tables = drawn_tables(seed, 2, ids.sizes)
    wild = []
    for level, table in enumerate(tables):
        legal = torch.zeros(table.shape[1:], dtype=torch.bool)
        legal[tuple(torch.from_numpy(ids.codes[1:, at]).long() for at in range(level + 1))] = True
        wild.append(torch.where(legal, table, value))
    trie = Trie(ids)
    for ours, plain in zip(beam_search(Tables(wild), trie, beams), beam_search(Tables(tables), trie, beams), strict=True):
        assert torch.equal(ours, plain)


def test_nan_on_a_legal_code_is_an_error_that_says_where() -> None:
    ids = drawn_ids(0, 9, 4, 2)
    tables = drawn_tables(0, 2, ids.sizes)
    tables[1].fill_(torch.nan)
    with pytest.raises(DataError, match=r"NaN or \+inf as a log-probability at level 1"):
        beam_search(Tables(tables), Trie(ids), 3)


def test_a_decoder_of_other_sizes_is_refused() -> None:
    ids = drawn_ids(0, 9, 4, 2)
    with pytest.raises(DataError, match=r"\[2, 1, 5\] at level 0; expected \[2, 1, 4\]"):
        beam_search(Tables(drawn_tables(0, 2, (5, 5, 5))), Trie(ids), 3)
    with pytest.raises(DataError, match="0 beams"):
        beam_search(Tables(drawn_tables(0, 2, ids.sizes)), Trie(ids), 0)


@settings(max_examples=40)
@given(seeds, st.integers(1, 30), st.floats(0, 1))
def test_blocked_items_give_their_places_to_the_next_best(seed: int, beams: int, share: float) -> None:
    """Whatever is blocked: none of it comes back, and as many others as there are or were asked for."""
    ids = drawn_ids(seed, 30, 3, 2)
    tables = drawn_tables(seed, 3, ids.sizes)
    gone = torch.from_numpy(np.random.default_rng(seed).random((3, 31)) < share)
    gone[:, 0] = False
    padded = torch.where(gone, torch.arange(31), 0)
    items, _ = beam_search(Tables(tables), Trie(ids), beams, blocked=padded)
    for row in range(3):
        found = [item for item in items[row].tolist() if item]
        assert len(set(found)) == len(found) == min(beams, 30 - int(gone[row].sum()))
        assert not gone[row, found].any()


@settings(max_examples=40)
@given(seeds, st.floats(0, 1))
def test_all_that_is_not_blocked_is_ranked_as_if_scored_one_by_one(seed: int, share: float) -> None:
    ids = drawn_ids(seed, 50, 4, 2)
    tables = drawn_tables(seed, 2, ids.sizes)
    gone = torch.from_numpy(np.random.default_rng(seed).random((2, 51)) < share)
    gone[:, 0] = True
    items, log_prob = beam_search(Tables(tables), Trie(ids), 50, blocked=torch.where(gone, torch.arange(51), 0))
    wanted, scores = ranking(scores_of(tables, ids).masked_fill(gone, -torch.inf), 50)
    assert items.tolist() == wanted
    assert torch.equal(log_prob, scores)


@settings(max_examples=20)
@given(seeds, st.integers(2, 10))
def test_with_the_best_items_blocked_as_many_others_come_back(seed: int, k: int) -> None:
    """The k best of the ranking are blocked, k again and again, with no beam to spare."""
    ids = drawn_ids(seed, 20, 4, 2)
    tables, trie = drawn_tables(seed, 1, ids.sizes), Trie(ids)
    blocked = torch.zeros(1, 0, dtype=torch.int64)
    for _ in range(20 // k):
        items, _ = beam_search(Tables(tables), trie, k, blocked=blocked)
        assert not set(items[0].tolist()) & {0, *blocked[0].tolist()}
        blocked = torch.cat([blocked, items], 1)
    assert len(set(blocked[0].tolist())) == 20 // k * k


def test_a_closed_prefix_dies_at_once() -> None:
    """All items under the best first code are blocked: its beam goes to another first code, not to the level below."""
    ids = SemanticIds(np.array([[-1, -1], [0, 0], [0, 1], [1, 0], [2, 1]], np.int32), (3, 2))
    tables = [torch.tensor([[0.8, 0.15, 0.05]]).log(), torch.full((1, 3, 2), 0.5).log()]
    decoding = Tables(tables)
    items, log_prob = beam_search(decoding, Trie(ids), 1, blocked=torch.tensor([[2, 0, 1, 1]]))
    assert decoding.before.tolist() == [[[1]]]
    assert items.tolist() == [[3]]
    assert float(log_prob.exp()) == pytest.approx(0.075)


def test_a_history_blocks_as_a_padded_tensor_does_and_strangers_block_nothing() -> None:
    ids = drawn_ids(3, 30, 3, 2)
    tables, trie = drawn_tables(3, 3, ids.sizes), Trie(ids, np.arange(31) != 7)
    items = np.array([5, 6, 6, 7, 900, 12], np.int32)  # 7 isn't in the tree, 900 not in the catalogue
    history = History(np.array([0, 4, 4, 6]), items, np.zeros(6, np.int64))
    padded = torch.tensor([[5, 6, 0, 7], [0, 0, 0, 0], [900, 12, 0, 0]])
    ours = beam_search(Tables(tables), trie, 30, blocked=history)
    same = beam_search(Tables(tables), trie, 30, blocked=padded)
    assert torch.equal(ours[0], same[0])
    assert [int((row > 0).sum()) for row in ours[0]] == [27, 29, 28]
    assert not {5, 6, 7} & set(ours[0][0].tolist())
    with pytest.raises(DataError, match="2 rows for 3 rows"):
        beam_search(Tables(tables), trie, 30, blocked=padded[:2])


def test_where_everything_is_blocked_nothing_comes_back() -> None:
    ids = drawn_ids(3, 8, 3, 2)
    tables, all_of_them = drawn_tables(3, 2, ids.sizes), torch.arange(9).expand(2, -1)
    items, log_prob = beam_search(Tables(tables), Trie(ids), 4, blocked=all_of_them)
    assert items.tolist() == [[0] * 4] * 2
    assert log_prob.eq(-torch.inf).all()
    none = Trie(ids, np.zeros(9, bool))
    assert beam_search(Tables(tables), none, 4)[0].tolist() == [[0] * 4] * 2
    assert beam_search(Tables([table[:0] for table in tables]), Trie(ids), 4)[0].shape == (0, 4)


def test_no_beam_is_decoded_where_no_row_has_one() -> None:
    ids = drawn_ids(3, 40, 3, 2)
    decoding = Tables(drawn_tables(3, 2, ids.sizes))
    beam_search(decoding, Trie(ids), 40)
    assert decoding.widths == [3, 9]


@settings(max_examples=40)
@given(seeds, st.integers(1, 8), st.integers(0, 5))
def test_a_row_is_answered_alone_as_together(seed: int, beams: int, blocked: int) -> None:
    """With scores of which most tie."""
    ids = drawn_ids(seed, 30, 4, 2)
    tables, trie = [table.round() for table in drawn_tables(seed, 4, ids.sizes)], Trie(ids)
    gone = torch.from_numpy(np.random.default_rng(seed).integers(0, 31, (4, blocked)))
    together = beam_search(Tables(tables), trie, beams, blocked=gone)
    for row in range(4):
        alone = beam_search(Tables([table[row : row + 1] for table in tables]), trie, beams, blocked=gone[row : row + 1])
        assert all(torch.equal(one[0], all_[row]) for one, all_ in zip(alone, together, strict=True))


def test_ties_fall_by_the_seed_and_not_by_the_code() -> None:
    ids = drawn_ids(0, 64, 4, 3)
    tables = [torch.zeros_like(table) for table in drawn_tables(0, 1, ids.sizes)]
    found = [beam_search(Tables(tables), Trie(ids), 8, seed=seed)[0][0].tolist() for seed in range(200)]
    assert found[0] == beam_search(Tables(tables), Trie(ids), 8, seed=0)[0][0].tolist()
    first_codes = np.bincount(ids.codes[[row[0] for row in found], 0], minlength=4)
    assert (first_codes > 25).all()  # 50 each are expected, with a deviation of 6
