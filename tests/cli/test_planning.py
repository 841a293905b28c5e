"""`headrace plan`, in real processes."""

import pytest

from tests.cli.test_cli import headrace


@pytest.fixture(scope="module")
def published():
    ran = headrace("plan", "--params", "530e9", "--gpus", "3360")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_published_layout_stands_beside_its_published_time(published):
    assert "105 layers, 20,480 wide, 128 heads" in published
    assert "tensor 8 x pipeline 35 x data 12, layers are recomputed" in published
    assert "17.5% of a step" in published
    assert "43.4 s estimated" in published
    assert "44.4 s, 113 TFLOP/s" in published


def test_memory_adds_up_and_others_say_why_not(published):
    lines = published.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("memory of a GPU"))
    sizes = [float(line.split()[-2]) for line in lines[start + 1 : start + 8]]
    assert sum(sizes[:-1]) == pytest.approx(sizes[-1], abs=0.3), "six figures rounded to 0.1"
    assert any(line.startswith("8 x 21 x 20") and line.rstrip().endswith("more than 60 GB") for line in lines)
    assert any("105 layers don't make equal stages" in line for line in lines)


def test_another_shape_has_nothing_published():
    ran = headrace("plan", "--params", "1e9", "--layers", "24", "--dim", "1792", "--gpus", "4", "--batch", "64")
    assert ran.returncode == 0, ran.stderr
    assert "published" not in ran.stdout


def test_what_cannot_be_is_refused_with_what_could():
    for words, said in (
        (("--params", "7e9", "--gpus", "1"), "2 GPUs would do"),
        (("--params", "530", "--gpus", "8"), "--params is 530: give the number of parameters, such as 530e9"),
        (("--params", "7e9", "--gpus", "8", "--recompute", "sometimes"), "One of: auto, always, never."),
    ):
        ran = headrace("plan", *words)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert said in ran.stderr
