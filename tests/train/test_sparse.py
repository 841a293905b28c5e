import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Learned, Loss
from headrace.contracts.training import TrainConfig
from headrace.nn.seeded import seeded
from headrace.train.sparse import refuse_sparse_tables, sum_rows
from headrace.train.step import NotFinite
from headrace.train.trainer import train
from tests.train.small import Rows, Stopped, stopped

CONFIG = TrainConfig(epochs=2, learning_rate=0.05, device="cpu", optimizer="rowwise", clip_norm=0.05)


class Model(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.table, self.body = nn.Embedding(6, 4, sparse=sparse), nn.Linear(4, 1)

    def forward(self, ids):
        return self.body(torch.tanh(self.table(ids).sum(-2))).squeeze(-1)


class Looked(Rows):
    """Ids of six, so that a batch looks at a row more than once."""

    def __init__(self, **more):
        super().__init__(**more)
        self.x = torch.randint(6, (len(self.y), 3), generator=torch.Generator().manual_seed(1))


class Squared:
    def __init__(self, name="squared"):
        self.name = name

    def counts(self, batch):
        return {self.name: float(len(batch["y"]))}

    def __call__(self, model, batch, services):
        error = (model(batch["x"]) - batch["y"]).square()
        return {self.name: Loss(error.mean(), float(len(error)))}


def model_of(sparse):
    with seeded(0, "sparse"):
        return Model(sparse)


def trained(sparse, *, objectives=None, batches=None, path=None, **more):
    model = model_of(sparse)
    config = TrainConfig(**vars(CONFIG) | more)
    train(Learned(model, objectives or [Squared()], batches or Looked()), config, seed=0, run="a", checkpoint_path=path)
    return model


@pytest.mark.parametrize("more", [{}, {"accumulate": 2}, {"clip_norm": 0.0}, {"ema_decay": 0.5, "keep_ema": True}])
def test_a_sparse_table_learns_as_a_dense_one(more):
    one, other = trained(True, **more), trained(False, **more)
    for name, value in one.state_dict().items():
        assert_close(value, other.state_dict()[name])
        assert not value.equal(model_of(True).state_dict()[name]), "nothing was learned"


def test_clipping_shortens_what_is_sparse_too():
    assert not trained(True).table.weight.equal(trained(True, clip_norm=0.0).table.weight)


def test_a_run_taken_up_again_ends_in_the_same_bits(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        trained(True, batches=Looked(stop_at=6, stop=stopped), path=path, checkpoint_every_steps=1)
    again, straight = trained(True, path=path, checkpoint_every_steps=1), trained(True)
    for name, value in again.state_dict().items():
        assert value.equal(straight.state_dict()[name]), name


def test_a_number_that_is_none_names_the_table():
    class Bad(Squared):
        def __call__(self, model, batch, services):
            loss = super().__call__(model, batch, services)["squared"]
            return {"squared": Loss(loss.mean + (model.table(batch["x"]) * math.inf).clamp(max=1).sum() * 0, loss.count)}

    with pytest.raises(NotFinite, match=r"table\.weight"):
        trained(True, objectives=[Bad()])


def test_a_gradient_has_one_row_an_id():
    table = nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([3, 1, 3])).sum().backward()
    before = table.weight.grad
    sum_rows(table.parameters())
    after = table.weight.grad
    assert before is not None
    assert after is not None
    assert after.is_coalesced()
    assert after.indices().tolist() == [[1, 3]]
    assert after.to_dense().equal(before.to_dense())


def test_what_cannot_take_sparse_gradients_is_refused_by_name():
    with pytest.raises(
        ConfigError, match=r"model: the gradient of table table is sparse, and AdamW takes whole ones. Set train.op"
    ):
        trained(True, optimizer="adamw")
    for spread in ({"ranks": 2, "processes": 1}, {"ranks": 1, "processes": 2}):
        with pytest.raises(ConfigError, match=r"is sparse, and ranks sum whole ones. Train it in one process"):
            refuse_sparse_tables(model_of(True), torch.optim.SGD(model_of(True).parameters()), **spread, name="model")
        refuse_sparse_tables(model_of(False), torch.optim.SGD(model_of(False).parameters()), **spread, name="model")
    for name, settings in (("mgda", {"oracle": "theta"}), ("marigold", {"along": "gradient"})):
        balancer = {"balancer": name, "balancer_settings": settings}
        with pytest.raises(ConfigError, match=r"A table's gradient is sparse, and the balancer multiplies whole ones"):
            trained(True, objectives=[Squared("a"), Squared("b")], **balancer)


@pytest.mark.parametrize("balancer", ["equal", "uncertainty", "famo", "marigold"])
def test_balancers_that_weigh_losses_take_them(balancer):
    one, other = (trained(sparse, objectives=[Squared("a"), Squared("b")], balancer=balancer) for sparse in (True, False))
    assert_close(one.table.weight, other.table.weight)
