"""Exact resume, with real processes and SIGKILL."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.killed import ENDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.train.killed", str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split("\n")[:2] == ["0 -9 -9 -9 0"] * 2, f"killed three times each\n{ran.stderr}"
    return folder


@pytest.mark.parametrize("every_steps", [1, 3])
def test_a_killed_run_ends_in_the_same_bits(runs, every_steps):
    straight, killed = runs / f"straight-{every_steps}", runs / f"killed-{every_steps}"
    assert (killed / "weights.bin").read_bytes() == (straight / "weights.bin").read_bytes()
    assert (killed / "result.txt").read_text() == (straight / "result.txt").read_text()
    steps, epochs = (int(word) for word in (straight / "result.txt").read_text().split()[:2])
    taken, passed = ENDS[every_steps]
    assert (steps, epochs) == (taken, passed - 2), "stopped early, so the best weights went through the checkpoints too"


def test_nothing_half_written_is_left(runs):
    found = sorted(path.name for path in (runs / "killed-1").iterdir())
    assert found == ["checkpoint.safetensors", "result.txt", "weights.bin"]
