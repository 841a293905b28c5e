import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig
from headrace.nn.seeded import seeded
from headrace.optim.makers import maker_of
from headrace.optim.rowwise import RowWise, summed
from headrace.optim.state import state_bytes
from headrace.testing import check_optimizer


def looked_up(weight, ids, values):
    """The gradient of a table some rows of which were looked up, some of them twice."""
    return torch.sparse_coo_tensor(ids.unsqueeze(0), values, weight.shape, check_invariants=True)


@pytest.mark.parametrize("rowwise", [False, True])
def test_it_keeps_the_contract(rowwise):
    check_optimizer(lambda parameters, **asked: RowWise(parameters, rowwise=rowwise, **asked))


def test_one_step_by_hand():
    weight = nn.Parameter(torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
    optimizer = RowWise([weight], lr=0.5, eps=1e-8)
    # row 2 twice: its gradient is (3, 4), so G = 12.5; row 0: (0, 2), G = 2
    weight.grad = looked_up(weight, torch.tensor([2, 0, 2]), torch.tensor([[1.0, 4.0], [0.0, 2.0], [2.0, 0.0]]))
    optimizer.step()
    assert_close(optimizer.state[weight]["sum"], torch.tensor([2.0, 0.0, 12.5]))
    third = torch.tensor([3.0, 3.0]) - 0.5 * torch.tensor([3.0, 4.0]) / 12.5**0.5
    assert_close(weight.detach(), torch.stack([torch.tensor([1.0, 1.0 - 0.5 * 2 / 2**0.5]), torch.tensor([2.0, 2.0]), third]))


@given(seed=st.integers(0, 1000), rows=st.integers(1, 30), looks=st.integers(0, 60))
def test_sparse_gradients_move_a_table_as_dense_ones_do(seed, rows, looks):
    draw = torch.Generator().manual_seed(seed)
    sparse = nn.Parameter(torch.randn(rows, 3, generator=draw, dtype=torch.float64))
    dense = nn.Parameter(sparse.detach().clone())
    one, other = RowWise([sparse], lr=0.1), RowWise([dense], lr=0.1, rowwise=True)
    for _ in range(3):
        ids = torch.randint(rows, (looks,), generator=draw)
        sparse.grad = looked_up(sparse, ids, torch.randn(looks, 3, generator=draw, dtype=torch.float64))
        dense.grad = sparse.grad.to_dense()
        one.step()
        other.step()
    assert_close(sparse, dense)
    assert_close(one.state[sparse]["sum"], other.state[dense]["sum"])


def test_rows_are_summed_as_torch_does():
    draw = torch.Generator().manual_seed(0)
    gradient = looked_up(torch.empty(50, 4), torch.randint(50, (300,), generator=draw), torch.randn(300, 4, generator=draw))
    rows, values = summed(gradient)
    wanted = gradient.coalesce()
    assert rows.equal(wanted.indices()[0])
    assert_close(values, wanted.values())
    assert summed(wanted)[1] is not None
    assert summed(wanted)[0].equal(rows)


def test_rows_that_were_not_looked_up_stay_and_those_that_were_decay():
    weight = nn.Parameter(torch.ones(4, 2))
    optimizer = RowWise([weight], lr=0.1, weight_decay=0.5)
    weight.grad = looked_up(weight, torch.tensor([1, 1]), torch.zeros(2, 2))
    optimizer.step()
    assert_close(weight.detach(), torch.tensor([[1.0, 1.0], [0.95, 0.95], [1.0, 1.0], [1.0, 1.0]]))


class Model(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.table, self.body = nn.Embedding(40, 8, sparse=sparse), nn.Linear(8, 1)

    def forward(self, ids):
        return self.body(self.table(ids)).squeeze(-1)


def test_the_maker_gives_tables_their_own_rate_and_a_number_a_row():
    ends = []
    for sparse in (True, False):
        train = TrainConfig(optimizer="rowwise", optimizer_settings={"table_rate": 5.0}, learning_rate=0.01, weight_decay=0.1)
        with seeded(0, "rowwise"):
            model = Model(sparse)
        optimizer = maker_of(train, "docs")(model, train, seed=0)
        assert [(group["lr"], group["weight_decay"], group["rowwise"]) for group in optimizer.param_groups] == [
            (0.01, 0.1, False),
            (0.05, 0.0, True),
        ]
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.tensor([1, 2, 2, 30])).square().sum().backward()
            optimizer.step()
        assert state_bytes(optimizer, [model.table.weight]) == 40 * 4
        assert state_bytes(optimizer, [model.body.weight]) == (2 * 8 + 1) * 4
        ends.append(model.table.weight.detach())
    assert_close(*ends)


def test_it_is_made_without_layers_or_without_tables():
    train = TrainConfig(optimizer="rowwise")
    for module in (nn.Embedding(3, 2), nn.Linear(2, 2)):
        assert len(maker_of(train, "docs")(module, train, seed=0).param_groups) == 1


def test_a_setting_out_of_bounds_is_said():
    with pytest.raises(ConfigError, match=r"row-wise Adagrad: eps is 0.0: expected above 0"):
        RowWise([nn.Parameter(torch.zeros(2))], eps=0.0)
