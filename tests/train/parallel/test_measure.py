"""What the plan says of memory and of the bubble, against what processes hold and how long they wait."""

from functools import cache
from statistics import median

import pytest

from headrace.contracts.training import ParallelConfig
from headrace.train.parallel.pipeline import Span, replayed, waited
from headrace.train.parallel.plan import FLOAT32, Batch, Layout, Shape, bubble, memory
from headrace.train.parallel.processes import together
from tests.train.parallel.across import LENGTH, WORDS, measured

MICRO, ROWS = 4, 16
SHAPE = Shape(layers=4, dim=64, heads=4, vocabulary=WORDS, length=LENGTH)


@cache
def found(tensor, pipeline):
    return together(measured, tensor * pipeline, ParallelConfig(tensor=tensor, pipeline=pipeline), MICRO)


@pytest.mark.parametrize(("tensor", "pipeline"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_memory_is_as_planned(tensor, pipeline):
    """Weights and moments to the byte but for Adam's counts of steps, 4 bytes a tensor. Activations to 4%: log-sum-exps, moments
    of norms, targets and masks are not in the plan."""
    layout, batch = Layout(tensor, pipeline, 1), Batch(ROWS * MICRO, ROWS)
    for rank, (held, _) in enumerate(found(tensor, pipeline)):
        planned = memory(SHAPE, layout, batch, rank // tensor, FLOAT32)
        most = rank % tensor == tensor - 1  # the last rank has the larger part of an odd vocabulary
        assert held.weights == pytest.approx(planned["weights"], abs=0 if most else 4 * 64)
        assert held.moments == pytest.approx(planned["Adam's moments"], abs=4 * 80 + (0 if most else 8 * 64))
        assert held.activations == pytest.approx(planned["activations"], rel=0.04)


def test_stages_wait_as_the_formula_says():
    """15 points: one stage embeds, the other has the output layer, and chunks of a millisecond do not all take as long."""
    for tensor in (1, 2):
        steps = [notes for _, notes in found(tensor, 2)[::tensor]]
        idle = [replayed(stages) for stages in zip(*steps, strict=True)]
        assert median(idle) == pytest.approx(bubble(2, MICRO), abs=0.15)


def test_a_chunk_waits_for_what_it_needs():
    """Two stages, one micro-batch: each waits while the other computes. Forward 1 and 1, backward 2 and 2."""
    first = [Span("forward", 0, 1.0, 0.0, 1.0), Span("backward", 0, 2.0, 4.0, 6.0)]
    last = [Span("forward", 0, 1.0, 1.0, 2.0), Span("backward", 0, 2.0, 2.0, 4.0)]
    assert replayed([first, last]) == waited([first, last]) == 0.5
    assert replayed([first]) == 0.0
