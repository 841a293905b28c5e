import pytest
import torch
from torch import nn

from headrace.contracts.errors import ConfigError
from headrace.contracts.rng import rng
from headrace.contracts.seams import Loss
from headrace.train.frozen import frozen
from headrace.train.trainer import train
from tests.train.small import CONFIG, Squared, learned, model_of, weights


class FromTeacher(Squared):
    """Pulls towards an artifact's answers, and keeps what it saw of it."""

    def __init__(self):
        super().__init__(name="pull")
        self.seen = []

    def __call__(self, model, batch, services):
        teacher = services.artifacts["teacher"]
        self.seen.append((teacher.training, any(one.requires_grad for one in teacher.parameters()), weights(teacher).clone()))
        error = (model(batch["x"]) - teacher(batch["x"])).square()
        return {"pull": Loss(error.mean(), float(len(error)))}


def test_a_model_among_the_artifacts_is_frozen_and_stays_bit_identical(tmp_path):
    teacher, model, objective = model_of().train(), model_of(), FromTeacher()
    before, path = weights(teacher).clone(), tmp_path / "checkpoint.safetensors"
    made = []

    def optimizer(module):
        made.append(torch.optim.SGD(module.parameters(), lr=0.1, weight_decay=0.1))
        return made[-1]

    given = {"artifacts": {"teacher": teacher, "log": rng(0)}, "checkpoint_path": path, "optimizer": optimizer}
    train(learned(model, objectives=[objective], needs=("teacher",)), CONFIG, seed=0, **given)
    assert weights(teacher).equal(before)
    assert [seen[:2] for seen in objective.seen] == [(False, False)] * 15
    assert all(seen[2].equal(before) for seen in objective.seen)
    assert not weights(model).equal(before)
    moved = {id(one) for group in made[0].param_groups for one in group["params"]}
    assert moved == {id(one) for one in model.parameters()}
    assert path.stat().st_size < 2 * 8 * weights(model).numel() + 4096, "two copies of one model's weights at most, and a header"
    assert all(one.requires_grad for one in teacher.parameters())
    assert all(module.training for module in teacher.modules()), "afterwards it is as it was"


class Travels(nn.Sequential):
    """Goes anywhere, and says where it was sent."""

    def to(self, device):  # type: ignore[override]
        self.sent = [*getattr(self, "sent", []), device]
        return self


def test_it_is_sent_to_the_device_and_back():
    teacher, gpu, cpu = Travels(*model_of()), torch.device("cuda", 1), torch.device("cpu")
    with frozen({"teacher": teacher}, model_of(), gpu, "lm"):
        assert teacher.sent == [gpu]
    assert teacher.sent == [gpu, cpu]


def test_each_part_of_it_comes_back_as_it_was():
    teacher = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 1).requires_grad_(False))
    teacher[1].eval()
    with frozen({"teacher": teacher, "again": teacher}, model_of(), torch.device("cpu"), "lm"):
        assert not any(module.training for module in teacher.modules())
        assert not any(one.requires_grad for one in teacher.parameters())
    assert [one.requires_grad for one in teacher.parameters()] == [True, True, False, False]
    assert [module.training for module in teacher] == [True, False, True]


def test_it_comes_back_from_an_error():
    teacher = model_of()
    with pytest.raises(ZeroDivisionError), frozen({"teacher": teacher}, model_of(), torch.device("cpu"), "lm"):
        1 / (not teacher.training) - 1 / 0
    assert teacher.training
    assert all(one.requires_grad for one in teacher.parameters())


def test_what_is_trained_cannot_be_frozen():
    model = model_of()
    with pytest.raises(ConfigError, match="lm: the artifact teacher shares parameters with what is trained"):
        train(learned(model), CONFIG, seed=0, name="lm", artifacts={"teacher": nn.Sequential(model[0])})
    assert all(one.requires_grad for one in model.parameters())
