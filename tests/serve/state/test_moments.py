"""Requests and events in one order, also while a commit lasts, in whatever process."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from headrace.serve.state.moments import Moments, begin_anew


def at(*times):
    """A clock that says these, then the last one for ever."""
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def going_by(tmp_path):
    """Moments of one folder by clocks; as several processes have them."""
    made = []

    def go_by(*times):
        made.append(Moments(tmp_path, at(*times)))
        return made[-1]

    yield go_by
    for one in made:
        one.close()


def test_moments_go_on_whatever_the_clock_does(going_by):
    moments = going_by(1000, 1000, 400, 2000)
    assert [moments.asked() for _ in range(5)] == [1000, 1001, 1002, 2000, 2001]


def test_who_asks_during_a_commit_asks_before_it_and_who_asks_afterwards_after_it(going_by):
    moments = going_by(1000)
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


def test_a_commit_that_failed_is_over_too(going_by):
    moments = going_by(1000)
    with pytest.raises(OSError), moments.received():  # whatever it is
        raise OSError
    assert moments.asked() < moments.asked()


def test_processes_whose_clocks_differ_by_hours_have_one_order(going_by):
    hour = 3_600_000_000
    here, ahead, behind = going_by(10 * hour, 9 * hour, 12 * hour), going_by(11 * hour), going_by(1 * hour)
    given = []
    for _ in range(3):
        for moments in (here, ahead, behind):
            given.append(moments.asked())
            with moments.received() as received_us:
                given.append(max(one.asked() for one in (behind, here, ahead)))
            given.append(received_us)
    assert all(earlier < later for earlier, later in pairwise(given))


def test_a_server_that_starts_goes_on_behind_what_was_acknowledged_before(going_by, tmp_path):
    assert going_by(5000).asked() == 5000
    begin_anew(tmp_path)
    assert going_by(300).asked() == 5001


def test_a_clock_that_was_far_ahead_is_forgotten_when_a_server_starts(going_by, tmp_path):
    wrong = time.time_ns() // 1000 + 2 * 86_400_000_000
    assert going_by(wrong).asked() == wrong
    begin_anew(tmp_path)
    assert going_by(300).asked() == 300


KILLED = """
import os, signal, sys
from pathlib import Path
from headrace.serve.state.moments import Moments
moments = Moments(Path(sys.argv[1]), lambda: 9000)
if sys.argv[2] == "asking":
    print(moments._turn.__enter__(), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
with moments.received() as received_us:
    print(received_us, flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def stopped(tmp_path, where):
    """A process that stands still in the middle of it."""
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), where], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = child.stdout.readline()
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    return child, told


def killed(child):
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()


def test_who_dies_in_a_commit_holds_nobody_up(going_by, tmp_path):
    child, told = stopped(tmp_path, "committing")
    here = going_by(1000)
    meanwhile = [here.asked() for _ in range(2000)]
    assert meanwhile[-1] == int(told) - 1, "before the commit, as long as it may still come"
    killed(child)
    assert here.asked() == int(told) + 1
    child, told = stopped(tmp_path, "committing")
    killed(child)
    with here.received() as received_us:
        assert received_us > int(told)
        assert int(told) < here.asked() < received_us


def test_who_dies_with_the_turn_to_ask_gives_it_back(going_by, tmp_path):
    child, _ = stopped(tmp_path, "asking")
    os.kill(child.pid, signal.SIGKILL)
    assert going_by(1000).asked() == 1000
    killed(child)


def test_a_moment_takes_no_time_to_speak_of(tmp_path):
    moments = Moments(tmp_path)
    started = time.process_time()
    for _ in range(2000):
        moments.asked()
    assert time.process_time() - started < 0.2, "100 µs each, of which it takes 3"
    moments.close()
