from collections import Counter

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.nn.votes import Ballot, cast, elected, flat

TREE = torch.tensor([[0, 0], [1, 1], [1, 2], [1, 3], [2, 4], [2, 5], [3, 6]])
"""Leaves 1 to 3 under node 1, 4 and 5 under node 2, 6 under node 3."""


def kept(events, most, at_most=40):
    agents = elected(cast(torch.tensor([events])), TREE, most, at_most)
    return [(leaf, votes) for leaf, votes in zip(agents.leaves[0].tolist(), agents.votes[0].tolist(), strict=True) if votes]


def test_votes_go_up_and_agents_come_down():
    """Node 1 has 1 + 2 + 2 votes, node 2 has 3 + 1, node 3 has 1; leaf 3 is newer than leaf 2."""
    events = [2, 4, 6, 4, 1, 2, 0, 3, 5, 3, 4]
    assert kept(events, (2, 1)) == [(4, 3), (3, 2)]
    assert kept(events, (1, 2)) == [(3, 2), (2, 2)]
    assert kept(events, (3, 3)) == [(4, 3), (3, 2), (2, 2), (5, 1), (1, 1), (6, 1)]
    assert kept(events, (3, 3), 2) == [(4, 3), (3, 2)]


def test_of_nodes_with_equal_votes_the_newer_is_kept():
    assert kept([1, 2, 4, 5], (1, 2)) == [(5, 1), (4, 1)]
    assert kept([4, 5, 1, 2], (1, 1)) == [(2, 1)]
    assert kept([4, 1, 1, 4, 6], (1, 1)) == [(4, 2)]


def test_a_ballot_has_each_leaf_once_and_empty_rows_have_no_agents():
    ballot = cast(torch.tensor([[2, 1, 2, 0, 2], [0, 0, 0, 0, 0]]))
    assert ballot.leaves[0].tolist() == [0, 1, 2, 2, 2]
    assert ballot.votes.tolist() == [[0, 1, 3, 0, 0], [0, 0, 0, 0, 0]]
    assert ballot.newest[0, 1:3].tolist() == [1, 4]
    agents = elected(ballot, TREE, (2, 2), 40)
    assert agents.leaves.tolist() == [[2, 1, 0, 0], [0, 0, 0, 0]]
    assert agents.there.tolist() == [[True, True, False, False], [False] * 4]


def test_flat_keeps_the_best_leaves_whatever_their_parents():
    agents = flat(cast(torch.tensor([[1, 4, 4, 2, 2, 1, 6]])), 3)
    assert agents.leaves.tolist() == [[1, 2, 4]]
    assert flat(cast(torch.tensor([[1, 0]])), 3).leaves.tolist() == [[1, 0, 0]], "as many places as asked for"


def one_by_one(events, tree, most, at_most):
    """The definition, a node at a time."""
    level = 0
    parents: set[tuple[int, ...]] = {()}
    paths = {leaf: tuple(tree[leaf]) for leaf in events if leaf}
    while level < len(most):
        votes: Counter[tuple[int, ...]] = Counter()
        newest: dict[tuple[int, ...], int] = {}
        for place, leaf in enumerate(events):
            if leaf and paths[leaf][:level] in parents:
                node = paths[leaf][: level + 1]
                votes[node] += 1
                newest[node] = place
        parents = {
            node
            for parent in parents
            for node in sorted(
                (one for one in votes if one[:level] == parent), key=lambda one: (votes[one], newest[one]), reverse=True
            )[: most[level]]
        }
        level += 1
    whole = Counter(leaf for leaf in events if leaf)
    last = {leaf: place for place, leaf in enumerate(events)}
    left = [leaf for leaf in whole if paths[leaf] in parents]
    return sorted(left, key=lambda leaf: (whole[leaf], last[leaf]), reverse=True)[:at_most]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 30), st.integers(1, 12))
def test_it_is_the_definition_on_any_tree(seed, levels, events, at_most):
    draw = np.random.default_rng(seed)
    codes = np.unique(draw.integers(0, 3, (12, levels)), axis=0)
    nodes = [np.unique(codes[:, : level + 1], axis=0, return_inverse=True)[1].reshape(-1) + 1 for level in range(levels)]
    tree = np.concatenate([np.zeros((1, levels), np.int64), np.stack(nodes, 1)])
    leaves = draw.integers(0, len(tree), (3, events))
    most = tuple(draw.integers(1, 4, levels).tolist())
    found = elected(cast(torch.from_numpy(leaves)), torch.from_numpy(tree), most, at_most)
    for row in range(3):
        wanted = one_by_one(leaves[row].tolist(), tree.tolist(), most, at_most)
        assert [leaf for leaf in found.leaves[row].tolist() if leaf] == wanted


def test_a_row_of_a_hundred_thousand_votes_is_counted_right():
    leaves = torch.tensor([[1, 2, 4, 5, 6]])
    votes = torch.tensor([[50_000, 49_999, 100_000, 1, 100_001]])
    newest = torch.tensor([[7, 299_999, 3, 300_000, 5]])
    agents = elected(Ballot(leaves, votes, newest, 300_002), TREE, (2, 1), 40)
    assert agents.leaves.tolist() == [[6, 4]]
