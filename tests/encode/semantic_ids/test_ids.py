"""Codes, their tokens, and the tree of them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.encode.semantic_ids.ids import SemanticIds, told_apart
from headrace.encode.semantic_ids.trie import Trie

CODES = np.array([[-1, -1], [0, 1], [2, 0], [0, 1], [0, 0], [-1, -1], [0, 1]], np.int32)


def test_equal_codes_are_told_apart_in_the_order_of_their_numbers() -> None:
    ids = told_apart(CODES, (3, 2))
    assert ids.codes[:, 2].tolist() == [-1, 0, 0, 1, 0, -1, 2]
    assert ids.sizes == (3, 2, 3)
    assert ids.vocabulary == 9


def test_codes_stay_as_they_are_when_items_are_appended() -> None:
    grown = np.concatenate([CODES, [[0, 1], [1, 1]]]).astype(np.int32)
    assert np.array_equal(told_apart(grown, (3, 2)).codes[: len(CODES)], told_apart(CODES, (3, 2)).codes)


def test_tokens_of_levels_do_not_meet_and_0_is_nobodys() -> None:
    ids = told_apart(CODES, (3, 2))
    assert ids.tokens[1].tolist() == [1, 5, 6]
    assert ids.tokens[2].tolist() == [3, 4, 6]
    assert ids.tokens[0].tolist() == [0, 0, 0]


def test_a_code_outside_its_level_or_of_two_items_is_refused() -> None:
    with pytest.raises(DataError, match="item 1 has codes"):
        SemanticIds(np.array([[-1], [3]], np.int32), (3,))
    with pytest.raises(DataError, match="2 items share the codes"):
        SemanticIds(np.array([[-1], [2], [2]], np.int32), (3,))


def test_arrays_bring_the_same_codes_back() -> None:
    ids = told_apart(CODES, (3, 2), items="abc")
    again = SemanticIds.from_arrays(ids.arrays())
    assert again.fingerprint == ids.fingerprint
    assert again.items == "abc"
    assert again.sizes == ids.sizes


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**31))
def test_every_path_of_the_tree_is_an_item_and_every_item_a_path(n: int, size: int, levels: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, size, (n + 1, levels)).astype(np.int32)
    codes[0] = -1
    ids = told_apart(codes, (size,) * levels)
    trie, found = Trie(ids), {}
    level_nodes: list[tuple[tuple[int, ...], int]] = [((), 0)]
    for level in range(ids.levels):
        step = []
        for path, node in level_nodes:
            children = trie.children(torch.tensor(node), level).tolist()
            step += [((*path, code), child) for code, child in enumerate(children) if child >= 0]
        level_nodes = step
    for path, node in level_nodes:
        found[path] = int(trie.item(torch.tensor(node)))
    assert found == {tuple(ids.codes[item].tolist()): item for item in range(1, n + 1)}
    assert all(trie.paths[item, -1] == node for node, item in enumerate(trie.items.tolist()))


def test_a_tree_of_the_allowed_items_has_no_path_to_another() -> None:
    ids = told_apart(CODES, (3, 2))
    allowed = np.array([True, False, True, True, False, True, False])
    trie = Trie(ids, allowed)
    assert sorted(trie.items.tolist()) == [2, 3]
    assert trie.paths[1].tolist() == [-1, -1, -1]
    assert trie.children(trie.root(1), 0)[0].ge(0).tolist() == [True, False, True]
