"""Real processes against one, in float64, where the order of a sum shows only far behind the comma."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from headrace.balance.equal import Equal
from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Learned, Stream
from headrace.contracts.training import ParallelConfig, TrainConfig
from headrace.objectives.tokens import PredictedTokens
from headrace.optim.makers import maker_of
from headrace.train.parallel.processes import together
from headrace.train.parallel.refusals import refuse_what_cannot_be_divided, refuse_what_is_not_elementwise
from headrace.train.trainer import train
from tests.ports import free_port
from tests.train.parallel.across import Words, body_of, broken, drawn, many, resumed, run, whole_logits
from tests.train.small import learned as small

ROOT = Path(__file__).resolve().parents[3]
ALL = ParallelConfig(tensor=2, pipeline=2)


@pytest.fixture(scope="module")
def alone():
    return run(ParallelConfig())


@pytest.mark.parametrize(
    ("parallel", "processes"),
    [(ParallelConfig(tensor=2), 2), (ParallelConfig(pipeline=2), 2), (ALL, 8)],
    ids=["tensor 2", "pipeline 2", "2 x 2 x 2"],
)
def test_a_layout_is_one_process(alone, parallel, processes):
    """20 steps: losses, and weights on every process. Replicas alone are in test_distributed.py."""
    for found in together(run, processes, parallel):
        same(found, *alone)


def test_bodies_of_every_kind_ramps_recomputation_and_validation_are_one_process():
    expected = many(ParallelConfig())
    for found in together(many, 4, ALL):
        for name, one in expected.items():
            same(found[name], *one)


def test_stages_in_the_middle_have_neither_end():
    alone = run(ParallelConfig(), "post", 1, micro=4)
    for found in together(run, 4, ParallelConfig(pipeline=4), "post", 1, None, None, False, 4):
        same(found, *alone)


def test_torchrun_starts_one_layout_after_another_and_leaves_no_thread(tmp_path):
    command = ["torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ran = subprocess.run(
        [sys.executable, "-m", *command, "-m", "tests.train.parallel.across", str(tmp_path)],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    losses, _ = run(ParallelConfig(), epochs=2)
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["losses"] == [pytest.approx(losses, rel=1e-10)] * 2
        assert [name for name in found["threads"] if "gloo" in name] == []


def same(found, losses, weights):
    assert found[0] == pytest.approx(losses, rel=1e-10)
    assert found[1].keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_allclose(found[1][name], array, rtol=0, atol=1e-8, err_msg=name)


def test_a_broken_run_goes_on_in_the_same_bits_and_in_any_layout(tmp_path):
    """What it wrote is what one process would have written."""
    losses, weights = together(broken, 4, ALL, str(tmp_path), "all")[0]
    broken(ParallelConfig(), tmp_path, "one")
    ours, its = load_file(tmp_path / "all"), load_file(tmp_path / "one")
    assert ours.keys() == its.keys()
    for name, tensor in its.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=1e-8, msg=name)
    for name in ("all-2", "all-3"):
        (tmp_path / name).write_bytes((tmp_path / "all").read_bytes())
    again = together(resumed, 4, ALL, str(tmp_path), "all")[0]
    assert again[0] == losses
    assert all(np.array_equal(again[1][name], array) for name, array in weights.items())
    same(together(resumed, 2, ParallelConfig(pipeline=2), str(tmp_path), "all-2")[1], losses, weights)
    same(resumed(ParallelConfig(), tmp_path, "all-3"), losses, weights)


def test_tensor_ranks_draw_alike_for_what_is_whole_and_apart_for_their_heads():
    (mine, loss), (others, its) = together(drawn, 2)
    assert loss == its
    assert all(np.array_equal(mine[name], others[name]) for name in mine)
    assert mine.keys() >= {"stack.last_norm.ways.0.weight", "stack.blocks.0.sublayers.attention.inside.out.ways.0.bias"}


def test_whoever_wants_all_logits_has_them():
    for found in together(whole_logits, 2):
        assert max(found) < 1e-12


class Other:
    accumulates = True

    def backward(self, losses, shared, reevaluate):
        raise AssertionError("refused before it is asked")


def test_what_is_not_supported_is_refused_by_name():
    body = Learned(body_of(), [PredictedTokens()], Words())
    streams = Learned(body_of(), [PredictedTokens()], Words(), streams=[Stream("more", [PredictedTokens("more")], Words())])
    several = Learned(body_of(), [PredictedTokens(), PredictedTokens("more")], Words())
    plain = TrainConfig(parallel=ALL, device="cpu")
    for learned, config, balancer, said in (
        (body, replace(plain, shard=True), Equal(), "tensor 2 x pipeline 2 and train.shard is true"),
        (body, replace(plain, ema_decay=0.9), Equal(), "train.ema_decay is 0.9"),
        (body, plain, Other(), "the balancer is Other"),
        (streams, plain, Equal(), "there are streams"),
        (several, plain, Equal(), "there are several objectives"),
        (small(), plain, Equal(), r"Squared has no inputs\(batch\)"),
    ):
        with pytest.raises(ConfigError, match=said):
            refuse_what_cannot_be_divided(learned, config, balancer, "model")
    apollo = replace(plain, optimizer="apollo")
    with pytest.raises(ConfigError, match="APOLLO is not known to work element by element"):
        refuse_what_is_not_elementwise(maker_of(apollo, "model")(body_of(), apollo, seed=0), apollo, "model")


def test_too_few_processes_and_modules_that_cannot_be_cut_are_refused():
    with pytest.raises(ConfigError, match="needs 4 processes or a multiple of them, and there is 1. Start them with torchrun"):
        run(ALL)
    for said in together(refused, 2):
        assert "Sequential can't be cut for train.parallel" in said


def refused():
    try:
        train(small(), TrainConfig(parallel=ParallelConfig(tensor=2), device="cpu"), seed=0)
    except ConfigError as error:
        return str(error)
