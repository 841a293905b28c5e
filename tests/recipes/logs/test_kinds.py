import torch

from headrace.recipes.logs.kinds import kinds


def unit(angles):
    angles = torch.tensor(angles)
    return torch.stack([angles.cos(), angles.sin()], -1)


def test_mixed_kinds_are_parted_whatever_their_order():
    """Three directions, one event after the other, and a fourth place that nothing stands at."""
    angles = [[0.0, 0.05, 2.0, 4.0, 2.05, 0.1, 4.05, 2.1, 0.0]]
    vectors = unit(angles)
    vectors[0, -1] = 0
    there = torch.tensor([[True] * 8 + [False]])
    found = kinds(vectors, there, 3)[0, :8].tolist()
    groups = {frozenset(place for place, kind in enumerate(found) if kind == one) for one in found}
    assert groups == {frozenset({0, 1, 5}), frozenset({2, 4, 7}), frozenset({3, 6})}


def test_few_events_are_a_kind_each_and_rows_don_t_meet():
    vectors = unit([[0.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    vectors[0, 2] = 0
    there = torch.tensor([[True, True, False], [True, True, True]])
    found = kinds(vectors, there, 5)
    assert len(set(found[0, :2].tolist())) == 2
    assert len(set(found[1].tolist())) == 3
    assert torch.equal(found[1:], kinds(vectors[1:], there[1:], 5))


def test_a_row_of_nothing_is_no_error():
    assert kinds(torch.zeros(1, 4, 2), torch.zeros(1, 4, dtype=torch.bool), 2).shape == (1, 4)
