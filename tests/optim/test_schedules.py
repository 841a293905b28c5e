import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.optim.schedules import factor

SCHEDULES = ("constant", "linear", "cosine", "inverse_sqrt", "wsd")


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(warmup=st.integers(0, 50), steps=st.integers(1, 200), final=st.floats(0, 1))
def test_it_rises_to_the_peak_and_never_again(schedule, warmup, steps, final):
    curve = [factor(step, steps, schedule, warmup=warmup, final=final) for step in range(max(steps, warmup) + 5)]
    assert all(0 <= one <= 1 for one in curve)
    assert curve[:warmup] == [(step + 1) / warmup for step in range(warmup)]
    assert all(
        after <= before + 1e-12 for before, after in zip(curve[max(warmup - 1, 0) :], curve[max(warmup, 1) :], strict=False)
    )
    if schedule in ("linear", "cosine", "wsd") and steps > warmup:
        assert curve[steps:] == pytest.approx([final] * len(curve[steps:]))


def test_known_values():
    at = lambda step, schedule, **more: factor(step, 100, schedule, **more)  # noqa: E731
    assert at(0, "constant") == at(99, "constant") == 1.0
    assert [at(step, "linear", warmup=20) for step in (19, 20, 60, 100)] == [1.0, 1.0, 0.5, 0.0]
    assert [at(step, "cosine") for step in (0, 50, 100)] == pytest.approx([1.0, 0.5, 0.0])
    assert at(25, "cosine", final=0.1) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert at(99, "inverse_sqrt", warmup=25) == pytest.approx(0.5)
    assert at(399, "inverse_sqrt", warmup=25) == pytest.approx(0.25), "it has no end"
    assert [at(step, "wsd", decay=0.2) for step in (0, 80, 90, 100)] == pytest.approx([1.0, 1.0, 0.5, 0.0])
