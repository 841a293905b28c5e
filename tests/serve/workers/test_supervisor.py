"""The supervisor over processes that only say that they are ready, or can't be; of real ones `test_started`."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.serving import ServeConfig
from headrace.serve.state.database import Database, Occupied
from headrace.serve.workers import supervisor as above
from headrace.serve.workers.processes import Worker
from headrace.serve.workers.seat import Seat
from headrace.serve.workers.sockets import held
from headrace.serve.workers.supervisor import FILE, Supervisor, serving_workers

READY = "import os, time; os.write({told}, b'{{\"ready\": true}}'); os.close({told}); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY
REFUSED = 'import os; os.write({told}, b\'{{"error": "the run is not there"}}\'); raise SystemExit(2)'
BROKEN = "raise SystemExit(7)"
LOST = "import os, time; os.write({told}, b'{{\"ready\": true}}'); os.close({told}); os.kill(os.getpid(), 9)"


class Starts:
    """What each start of a seat runs; the last again and again."""

    def __init__(self, **scripts):
        self.scripts = {int(name[1:]): list(of) for name, of in scripts.items()}
        self.started: list[int] = []

    def start(self, number):
        reads, writes = os.pipe()
        scripts = self.scripts[number]
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        command = [sys.executable, "-I", "-S", "-c", script.format(told=writes)]
        process = subprocess.Popen(command, pass_fds=[writes], process_group=0)
        os.close(writes)
        self.started.append(number)
        return Worker(Seat(number, len(self.scripts)), process, reads)


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(above, "_FIRST_S", 0.01)

    def make(**scripts):
        starts = Starts(**scripts)
        one = Supervisor(tmp_path, len(scripts), held("127.0.0.1", 0), ServeConfig(drain_s=0.0))
        one.starter = starts  # type: ignore[assignment]
        return one, starts

    return make


def stopping(one, when, *signals):
    """Sends them once the condition holds; a thread to be started."""

    def wait():
        until = time.monotonic() + 120
        while not when() and time.monotonic() < until:
            time.sleep(0.01)
        for sig in signals:
            if signal.getsignal(sig) in (signal.SIG_DFL, signal.default_int_handler):
                return  # it is over, and the signal would end the tests
            os.kill(os.getpid(), sig)
            time.sleep(0.2)

    return threading.Thread(target=wait)


def both_ready(one):
    return lambda: len(one.workers) == 2 and all(worker.ready for worker in one.workers.values())


def run(one, *stops):
    for thread in stops:
        thread.start()
    try:
        return one.run()
    finally:
        for thread in stops:
            thread.join()


def test_the_first_is_ready_before_the_others_start_and_a_signal_ends_all(made, tmp_path):
    one, starts = made(w0=[READY], w1=[READY])
    told = []
    one.ready = lambda: told.append((list(starts.started), serving_workers(tmp_path / "served")))
    before = signal.getsignal(signal.SIGTERM)
    assert run(one, stopping(one, both_ready(one), signal.SIGTERM)) == signal.SIGTERM
    ((started, known),) = told
    assert started == [0]
    assert [(row["number"], row["ready"]) for row in known] == [(0, True)]
    assert starts.started == [0, 1]
    assert not (tmp_path / "served" / FILE).exists()
    assert signal.getsignal(signal.SIGTERM) is before
    Database(tmp_path / "served" / "state", 1.0, sole=True).close()  # the run is free again


def test_it_holds_the_run(made, tmp_path):
    one, _ = made(w0=[READY], w1=[READY])
    with pytest.raises(Occupied, match="One server a run"):
        Supervisor(tmp_path, 2, [], ServeConfig())
    assert run(one, stopping(one, both_ready(one), signal.SIGINT)) == signal.SIGINT


def test_who_dies_is_started_again(made, caplog):
    caplog.set_level(logging.INFO, "headrace.serve")
    one, starts = made(w0=[READY], w1=[LOST, LOST, READY])
    run(one, stopping(one, lambda: starts.started == [0, 1, 1, 1] and both_ready(one)(), signal.SIGTERM))
    said = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 2
    assert "worker 1 (process " in said[0]
    assert said[0].endswith("was ended by SIGKILL; it is started again in 0 s")
    assert said[1].endswith("it is started again in 0.01 s"), "the second waits"


@pytest.mark.parametrize(("script", "says"), [(REFUSED, "the run is not there"), (BROKEN, "worker 0 ended with status 7")])
def test_a_first_one_that_can_t_start_ends_the_server(made, script, says):
    one, starts = made(w0=[script], w1=[READY])
    with pytest.raises(ConfigError, match=says):
        one.run()
    assert starts.started == [0]


def killing(one, *numbers):
    """A thread that ends these once all are ready."""

    def kill():
        until = time.monotonic() + 120
        while not both_ready(one)() and time.monotonic() < until:
            time.sleep(0.01)
        for number in numbers:
            one.workers[number].process.kill()

    return threading.Thread(target=kill)


def test_where_none_can_be_started_again_the_server_ends(made):
    one, starts = made(w0=[READY, REFUSED], w1=[READY, REFUSED])
    with pytest.raises(ConfigError, match=r"worker \d could not be started 5 times within 60 s: the run is not there"):
        run(one, killing(one, 0, 1))
    assert 10 <= len(starts.started) <= 12


def test_while_one_answers_another_that_can_t_start_is_said_and_left_for_a_while(made, caplog):
    one, starts = made(w0=[READY], w1=[READY, REFUSED])
    said = lambda: [record for record in caplog.records if record.message.endswith("the others go on")]  # noqa: E731
    assert run(one, killing(one, 1), stopping(one, said, signal.SIGTERM)) == signal.SIGTERM
    assert "worker 1 could not be started 5 times within 60 s: the run is not there" in said()[0].message
    assert starts.started == [0, 1, *5 * [1]]


def test_what_the_machine_does_not_let_start_is_tried_again(made, caplog, monkeypatch):
    monkeypatch.setattr(above, "_LAST_S", 0.01)
    one, starts = made(w0=[READY], w1=[READY])
    real, refusals = starts.start, [OSError(errno.EAGAIN, "Resource temporarily unavailable") for _ in range(2)]

    def start(number):
        if number == 1 and refusals:
            raise refusals.pop()
        return real(number)

    starts.start = start
    run(one, stopping(one, both_ready(one), signal.SIGTERM))
    said = [record.message for record in caplog.records if "can't be started" in record.message]
    assert said == 2 * ["worker 1 can't be started (Resource temporarily unavailable); it is tried again in 0.01 s"]


def test_who_does_not_stop_is_killed(made, monkeypatch, caplog):
    monkeypatch.setattr(above, "STOP_S", 0.3)
    one, _ = made(w0=[READY], w1=[DEAF])
    run(one, stopping(one, both_ready(one), signal.SIGTERM))
    assert any("did not stop and is killed" in record.message for record in caplog.records)


def test_a_second_signal_goes_on_too(made):
    one, _ = made(w0=[READY], w1=[DEAF])
    assert run(one, stopping(one, both_ready(one), signal.SIGTERM, signal.SIGINT)) == signal.SIGTERM


def test_who_serves_can_be_read_while_it_does(made, tmp_path):
    assert serving_workers(tmp_path / "served") == []
    one, _ = made(w0=[READY], w1=[READY])
    seen = []

    def look():
        rows = serving_workers(tmp_path / "served")
        if len(rows) == 2 and all(row["ready"] for row in rows):
            seen.append((rows, json.loads((tmp_path / "served" / FILE).read_text())["supervisor"]))
        return bool(seen)

    run(one, stopping(one, look, signal.SIGTERM))
    rows, pid = seen[0]
    assert pid == os.getpid()
    assert len({row["pid"] for row in rows}) == 2
