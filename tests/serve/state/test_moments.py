"""Requests and events in one order, also while a commit lasts."""

import pytest

from headrace.serve.state.moments import Moments


def at(*times):
    """A clock that says these, then the last one for ever."""
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_moments_go_on_whatever_the_clock_does():
    moments = Moments(at(1000, 1000, 400, 2000))
    assert [moments.asked() for _ in range(5)] == [1000, 1001, 1002, 2000, 2001]


def test_who_asks_during_a_commit_asks_before_it_and_who_asks_afterwards_after_it():
    moments = Moments(at(1000))
    first = moments.asked()
    with moments.received() as received_us:
        meanwhile = [moments.asked() for _ in range(1500)]
    after = moments.asked()
    assert first < meanwhile[0]
    assert max(meanwhile) < received_us < after
    assert meanwhile == sorted(meanwhile)
    assert len(set(meanwhile)) == 999
    with moments.received() as again_us:
        assert moments.asked() > received_us, "all that was acknowledged is before whoever asks"
    assert again_us > after


def test_a_commit_that_failed_is_over_too():
    moments = Moments(at(1000))
    with pytest.raises(OSError), moments.received():  # whatever it is
        raise OSError
    assert moments.asked() < moments.asked()
