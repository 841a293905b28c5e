from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from headrace.methods.rank.shared_bottom import SharedBottom, SharedBottomConfig
from headrace.nn.tables import TableConfig
from headrace.nn.task_scorer import TaskTower, worth_of
from tests.methods.examples import VECTORS
from tests.methods.rank.tasks import learned, task_lists

SMALL = SharedBottomConfig(item_dim=4, feature_dim=3, bottom=(8,), hidden=(4,), history=5, batch_size=8)
numbers = st.floats(-30, 30)


@pytest.mark.parametrize("tasks", [("click", "purchase"), ("z", "a", "items"), ("kauf/ärger", "a.b")])
def test_its_tasks_are_read_from_its_arrays_in_their_order(tasks):
    settings = replace(SMALL, table=TableConfig(hashed=9, least=4, tail=3))
    model, _, _ = learned(SharedBottom, settings, task_lists(tasks=tasks), vectors=VECTORS)
    again = SharedBottom.from_arrays(settings, dict(sorted(model.arrays().items())))
    assert again.tasks == model.tasks == tasks
    assert (again.schema, again.candidate_schema) == (model.schema, model.candidate_schema)
    assert all(np.array_equal(again.arrays()[name], values) for name, values in model.arrays().items())


@given(a=numbers, b=numbers, worth=st.floats(0.01, 100))
def test_worth_is_the_log_of_what_is_to_be_expected(a, b, worth):
    logits = {"a": torch.tensor(a, dtype=torch.float64), "b": torch.tensor(b, dtype=torch.float64)}
    wanted = worth * logits["a"].sigmoid() + 3 * logits["b"].sigmoid()
    assert_close(worth_of(logits, {"a": worth, "b": 3.0}), wanted.log())


def test_worth_of_what_is_all_but_impossible_is_finite():
    logits = {"a": torch.tensor([-300.0]), "b": torch.tensor([-400.0])}
    assert_close(worth_of(logits, {"a": 1.0, "b": 1.0}), torch.tensor([-300.0]))
    assert_close(worth_of(logits, {"b": 1.0}), torch.tensor([-400.0]))


@torch.no_grad()
def test_a_tower_gives_a_number_a_row():
    x = torch.randn(3, 2, 5)
    assert TaskTower(5, (4,), 0.0)(x).shape == (3, 2)
    flat = TaskTower(5, (), 0.0)
    assert_close(flat(x), x @ flat.head.weight[0] + flat.head.bias)
