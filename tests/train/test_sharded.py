"""Two real processes under torchrun whose weights lie in shards, against one that holds them whole."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from torch.testing import assert_close

from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig
from headrace.train.trainer import train
from tests.train.across_shards import ANEW, CONFIG, STOP_AT, body, deep
from tests.train.small import Stopped, learned, weights
from tests.train.test_distributed import torchrun


@pytest.fixture(scope="module")
def alone():
    return {name: deep(config=replace(CONFIG, keep_ema=name == "average")) for name in ("shards", "average")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    with pytest.raises(Stopped):
        deep(folder / "alone.safetensors", STOP_AT)
    ran = torchrun(folder, module="tests.train.across_shards")
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(params=[0, 1])
def found(request, folder):
    return json.loads((folder / f"found-{request.param}.json").read_text())


def same(found, wanted):
    """In float64, where the order of a sum shows only far behind the comma."""
    model, result = wanted
    assert_close(torch.tensor(found["weights"], dtype=torch.float64), weights(model), rtol=1e-10, atol=1e-10)
    for entry, other in zip(found["curve"], result.curve, strict=True):
        assert entry == pytest.approx(other, rel=1e-10)


def test_shards_are_one_process(found, alone):
    """Weights, losses and validation: with clipping, micro-batches, a stream, an average that is learned from, experts that
    some ranks leave out, weights that are frozen, never used, uneven or without an axis."""
    same(found["ranks"], alone["shards"])
    same(found["shards"], alone["shards"])
    epochs, best = found["shards"]["best"]
    assert epochs == alone["shards"][1].epochs < CONFIG.epochs, "the best epoch's weights are kept"
    assert best == pytest.approx(alone["shards"][1].best_value, rel=1e-10)


def test_an_average_in_shards_is_what_is_validated_and_kept(found, alone):
    same(found["average"], alone["average"])
    assert not weights(alone["average"][0]).equal(weights(alone["shards"][0]))


@pytest.mark.parametrize("how", ["shards", "ranks", "alone"])
def test_shards_take_up_what_any_layout_saved(found, alone, how):
    same(found[f"{how} taken up"], alone["shards"])


@pytest.mark.parametrize("how", ["shards", "ranks"])
def test_one_process_takes_up_what_ranks_saved(folder, alone, tmp_path, how):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes((folder / f"{how}-stopped.safetensors").read_bytes())
    model, result = deep(path, ANEW)
    same({"weights": weights(model).tolist(), "curve": result.curve}, alone["shards"])


def test_a_checkpoint_of_shards_holds_whole_tensors(folder):
    with safe_open(folder / "shards-stopped.safetensors", "pt") as cut, safe_open(folder / "alone.safetensors", "pt") as plain:
        names = list(plain.keys())
        assert list(cut.keys()) == names
        assert {name: cut.get_slice(name).get_shape() for name in names} == {
            name: plain.get_slice(name).get_shape() for name in names
        }


def test_blocks_are_cut_and_may_run_again(found):
    whole = body()
    for how in ("plain", "cut", "again"):
        assert_close(torch.tensor(found["body"][how], dtype=torch.float64), whole, rtol=1e-10, atol=1e-10)


def test_each_rank_holds_half(found):
    (weights_whole, state_whole, given_whole), (held, state, given) = found["held"]
    assert weights_whole == given_whole == 4 * (64 * 64 + 64) * 4
    assert held == weights_whole / 2
    assert given == 0
    assert state_whole / 2 <= state <= state_whole / 2 + 8 * 4, "two moments in halves, and whole the count of steps of 8 tensors"


def test_what_is_not_finite_on_one_rank_is_named_on_all(found, folder):
    said, finite, numbers = found["not finite"]
    assert "lm: squared became nan, the gradient's norm became nan at step 5. The largest gradient is that of " in said
    assert said.endswith("nan.safetensors holds the run as it stood after step 5.")
    assert finite
    assert numbers == weights(deep()[0]).numel(), "the module is whole again"


def test_when_one_rank_is_asked_to_stop_all_do_and_go_on_to_the_same_bits(found, folder):
    assert f"stopped after step {STOP_AT // 2 + 1}" in found["asked"]
    for rank in (0, 1):
        for name in ("straight", "asked"):
            assert (folder / f"{name}-{rank}.bin").read_bytes() == (folder / "straight-0.bin").read_bytes()
            assert (folder / f"{name}-{rank}.txt").read_text() == (folder / "straight-0.txt").read_text()


def test_a_training_leaves_no_thread_behind(found):
    assert [name for name in found["threads"] if "gloo" in name] == []


def test_one_process_has_nothing_to_cut():
    plain, asked = deep(), deep(config=replace(CONFIG, shard=True))
    assert weights(asked[0]).equal(weights(plain[0]))


@pytest.mark.parametrize("optimizer", ["apollo", "apollo_mini", "rowwise"])
def test_what_needs_whole_matrices_is_refused_by_name(optimizer):
    with pytest.raises(ConfigError, match="lm: (APOLLO|RowWise) reads whole matrices"):
        train(learned(), TrainConfig(optimizer=optimizer, shard=True, device="cpu"), seed=0, name="lm")
