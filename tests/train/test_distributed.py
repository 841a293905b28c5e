"""Two real processes under torchrun, over loopback, against one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.testing import assert_close

from headrace.contracts.errors import ConfigError
from headrace.train.distributed import Ranks, launched
from tests.ports import free_port
from tests.train.across_ranks import KILLED_BEFORE, whole_batches

ROOT = Path(__file__).resolve().parents[2]


def torchrun(folder, *scenario, module="tests.train.across_ranks"):
    command = ["torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, "-m", *command, "-m", module, str(folder), *scenario],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    ran = torchrun(folder, "whole")
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_ranks_are_one_process(folder, accumulate):
    """In float64, where the order of a sum shows only far behind the comma. One batch has a single row: rank 1 has none of it."""
    alone, curve = whole_batches(accumulate)
    for rank in (0, 1):
        found = json.loads((folder / f"whole-{rank}.json").read_text())["accumulate"][str(accumulate)]
        assert_close(torch.tensor(found["weights"], dtype=torch.float64), alone, rtol=1e-10, atol=1e-10)
        for entry, other in zip(found["curve"], curve, strict=True):
            assert entry == pytest.approx(other, rel=1e-10)


def test_what_cannot_be_spread_is_refused_by_name(folder):
    for rank in (0, 1):
        crossing, balancer = json.loads((folder / f"whole-{rank}.json").read_text())["refused"]
        assert "the negatives of CrossesRows cross rows" in crossing
        assert "NotASum can't be spread over ranks" in balancer


def test_a_training_leaves_no_thread_behind(folder):
    """One that outlives the group can abort the process when it ends."""
    threads = json.loads((folder / "whole-0.json").read_text())["threads"]
    assert [name for name in threads if "gloo" in name] == []


def test_ranks_end_in_the_same_bits(folder):
    assert (folder / "straight-0.bin").read_bytes() == (folder / "straight-1.bin").read_bytes()
    assert (folder / "straight-0.txt").read_text() == (folder / "straight-1.txt").read_text()


def test_when_one_rank_is_asked_to_stop_all_do_after_the_same_step(folder):
    for rank in (0, 1):
        assert f"stopped after step {KILLED_BEFORE + 1}" in (folder / f"asked-{rank}.message").read_text()
    same_as_unbroken(folder, "asked")


def test_a_killed_rank_ends_them_all_and_the_next_launch_goes_on(folder):
    assert torchrun(folder, "killed").returncode != 0
    assert (folder / "killed.safetensors").exists()
    ran = torchrun(folder, "resumed")
    assert ran.returncode == 0, ran.stderr
    same_as_unbroken(folder, "killed")


def same_as_unbroken(folder, name):
    for rank in (0, 1):
        assert (folder / f"{name}-{rank}.bin").read_bytes() == (folder / "straight-0.bin").read_bytes()
        assert (folder / f"{name}-{rank}.txt").read_text() == (folder / "straight-0.txt").read_text()


def test_alone_nothing_is_initialised():
    model, batch = nn.Linear(2, 1), {"x": torch.ones(3, 2)}
    with launched() as ranks:
        assert ranks == Ranks(0, 1)
        assert not distributed.is_initialized()
        assert ranks.share(batch) == (batch, True)
        assert ranks.sum({"a": 0.1}) == {"a": 0.1}
        assert ranks.of_first(0.1) == 0.1
        ranks.sum_gradients(model.parameters())
        ranks.copy_first(model)


def test_rows_are_dealt_like_cards():
    batch = {"x": torch.arange(10).view(5, 2), "y": torch.arange(5), "temperature": torch.tensor(0.5)}
    shares = [Ranks(rank, 2).share(batch) for rank in (0, 1)]
    assert [share["y"].tolist() for share, _ in shares] == [[0, 2, 4], [1, 3]]
    assert shares[1][0]["x"].tolist() == [[2, 3], [6, 7]]
    assert shares[1][0]["temperature"] == 0.5
    few, real = Ranks(2, 3).share({"y": torch.arange(2)})
    assert (few["y"].tolist(), real) == ([0], False)


def test_a_batch_without_common_rows_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"offsets has another number of rows than x \(4\)"):
        Ranks(0, 2).share({"x": torch.ones(4, 2), "offsets": torch.arange(5)})
