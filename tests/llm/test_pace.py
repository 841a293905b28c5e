import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists

from headrace.llm.pace import Pace, backoff


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@given(gaps=lists(floats(0, 5), min_size=1, max_size=60), tokens=integers(1, 500))
def test_no_minute_holds_more_than_its_share(gaps, tokens):
    clock = Clock()
    pace = Pace(30, 3000, clock)
    starts = []
    for gap in gaps:
        clock.now += gap
        starts.append(clock.now + pace.turn(tokens))
    for start in starts:
        within = sum(start <= one < start + 60 - 1e-6 for one in starts)
        assert within <= 31
        assert (within - 1) * tokens <= 3000 + 1e-6


def test_without_limits_nobody_waits():
    pace = Pace(None, None)
    assert [pace.turn(10**9) for _ in range(3)] == [0, 0, 0]


def test_a_hold_is_for_all():
    clock = Clock()
    pace = Pace(60, None, clock)
    pace.hold(10)
    assert [pace.turn(1), pace.turn(1)] == [10, 11]


@given(failed=integers(1, 10_000))
def test_pauses_grow_to_the_longest(failed):
    assert min(60, 0.5 * 2.0 ** min(failed - 1, 20)) / 2 <= backoff(failed, 0.5, 60) <= min(60, 0.5 * 2.0 ** min(failed - 1, 20))


def test_pauses_differ():
    assert len({backoff(3, 0.5, 60) for _ in range(20)}) > 1
    assert backoff(1, 0.5, 60) == pytest.approx(0.375, abs=0.126)
