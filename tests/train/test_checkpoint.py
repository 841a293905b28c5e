import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from headrace.contracts.errors import ArtifactError
from headrace.train.checkpoint import Position, load, save
from headrace.train.distributed import Ranks
from headrace.train.layout import Whole

MADE_OF = {"tokenizer": "ab12", "config": "99"}


def trained(seed=0, size=3):
    draw = torch.Generator().manual_seed(seed)
    one, tied = nn.Linear(size, size, bias=False), nn.Linear(size, size, bias=False)
    with torch.no_grad():
        one.weight.copy_(torch.randn(size, size, generator=draw))
    tied.weight = one.weight
    module = nn.ModuleDict({"a": one, "b": tied})
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1 + seed, momentum=0.9)
    one(torch.randn(2, size, generator=draw)).sum().backward()
    optimizer.step()
    return Whole(module, 0.5, Ranks(), torch.device("cpu")), optimizer


def kept(path, **changed):
    layout, optimizer = trained()
    with torch.no_grad():
        layout.average.module["a"].weight.fill_(3.0)
    position = Position(2, 3, 17, 0.1 + 0.2, 1, {"loss": 1 / 3}, 4, [{"loss": 0.7}], {"text": [5, 6]})
    given = {"run": "r", "position": position, "layout": layout, "optimizer": optimizer, "best": {"a": torch.ones(2)}}
    given |= {"made_of": MADE_OF, "ranks": Ranks(), "balancer": {"weights": torch.tensor([0.5])}}
    save(path, **given | changed)
    return layout.module, optimizer, position


def test_everything_comes_back(tmp_path):
    path = tmp_path / "deep" / "checkpoint.safetensors"
    module, optimizer, position = kept(path)
    layout, its = trained(seed=1)
    other, found = layout.module, load(path, run="r", made_of=MADE_OF, layout=layout, optimizer=its)
    assert found.position == position
    assert other.state_dict()["b.weight"].equal(module.state_dict()["a.weight"])
    assert its.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    momentum, wanted = (next(iter(one.state.values()))["momentum_buffer"] for one in (its, optimizer))
    assert momentum.equal(wanted)
    assert found.best["a"].equal(torch.ones(2))
    assert layout.average.module.state_dict()["b.weight"].equal(torch.full((3, 3), 3.0))
    assert found.balancer["weights"].equal(torch.tensor([0.5]))
    assert [one.name for one in path.parent.iterdir()] == [path.name], "nothing else is left beside it"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "checkpoint.safetensors"
    kept(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refuses(path, "not a whole checkpoint of ours")


@pytest.mark.parametrize("header", [None, {}, {"headrace": "{"}, {"headrace": "[]"}, {"headrace": json.dumps({"format": 3})}])
def test_a_foreign_file_is_refused(tmp_path, header):
    path = tmp_path / "checkpoint.safetensors"
    save_file({"weight": torch.ones(2)}, path, header)
    refuses(path, "not a whole checkpoint of ours")


def test_a_folder_in_its_place_is_refused(tmp_path):
    refuses(tmp_path, "not a whole checkpoint of ours")


def test_another_run_model_or_format_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    kept(path)
    refuses(path, "is of another run", run="other")
    refuses(path, "is of another model or optimizer", size=4)
    monkeypatch.setattr("headrace.train.checkpoint.FORMAT", 5)
    refuses(path, "format 3, this Headrace reads 4 and 5")


def test_weights_made_of_other_things_are_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    kept(path)
    says = "checkpoint.safetensors: is of weights made of other things: its tokenizer is ab12, this run's cd34. Train with"
    refuses(path, says, made_of=MADE_OF | {"tokenizer": "cd34"})
    refuses(path, "its tokenizer is ab12, this run's cd34. Train with", made_of=MADE_OF | {"tokenizer": "cd34"}, run="other")
    refuses(path, "its config is 99, this run's none; its tokenizer is ab12, this run's none. ", made_of={})
    refuses(path, "its prompt is none, this run's 7. ", made_of=MADE_OF | {"prompt": "7"})


def test_the_format_before_ours_is_read(tmp_path):
    """It had no streams, no digests, and did not count an epoch's steps."""
    path = tmp_path / "checkpoint.safetensors"
    kept(path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["headrace"]) | {"format": 2}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    del header["made_of"], header["position"]["streams"], header["position"]["summed"]
    save_file(tensors, path, {"headrace": json.dumps(header)})
    layout, optimizer = trained(1)
    found = load(path, run="r", made_of=MADE_OF, layout=layout, optimizer=optimizer)
    assert (found.format, found.position.step, found.position.streams) == (2, 17, {})
    assert layout.average.module.state_dict()["a.weight"].equal(torch.full((3, 3), 3.0))


def test_rank_0_alone_writes(tmp_path):
    kept(tmp_path / "checkpoint.safetensors", ranks=Ranks(1, 2))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="the checkpoint could not be written"):
        kept(tmp_path / "file" / "checkpoint.safetensors")


def refuses(path, match, run="r", size=3, made_of=MADE_OF):
    layout, optimizer = trained(1, size)
    with pytest.raises(ArtifactError, match=match):
        load(path, run=run, made_of=made_of, layout=layout, optimizer=optimizer)
