"""Real processes over a real Redis, killed and put to sleep while they write: every acknowledged event is in exactly one file."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headrace.serve.logs.events import served_events
from tests.data.tables import some_events, write_tables
from tests.serve.redis_process import needs_redis
from tests.serve.state.test_layered import LAST_US, N_EVENTS

pytestmark = needs_redis
ROOT, PATIENCE_S = Path(__file__).parents[3], 60


class Writer:
    """A process, and what it says."""

    def __init__(self, folder, tables, redis):
        command = [sys.executable, "-m", "tests.serve.state.redis_writer", folder, tables, redis.url]
        self.folder, self.process = folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.said, self.about_to_leave = [], lambda writer: None
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self):
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.strip())
            if line == "leaving\n":
                self.about_to_leave(self)

    @property
    def acknowledged(self):
        return [one for one in list(self.said) if one != "leaving"]

    @property
    def files(self):
        return sorted(self.folder.glob("events/*/*.parquet"))

    def ends(self, sent=signal.SIGTERM):
        self.process.send_signal(sent)
        self.process.wait(PATIENCE_S)
        self._reading.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


def until(holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def started(redis, tmp_path):
    tables = write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US))
    made = []

    def start(name):
        made.append(Writer(tmp_path / name, tables, redis))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.ends(signal.SIGKILL)


def strike(writers, sent):
    """The first of them whose file is on disk and whose rows are about to leave Redis gets the signal. It, and the others."""
    struck, one_at_a_time = list[object](), threading.Lock()

    def here(writer):
        with one_at_a_time:
            if not struck:
                writer.process.send_signal(sent)
                struck.append(writer)

    for one in writers:
        one.about_to_leave = here
    until(lambda: struck)
    return struck[0], next(one for one in writers if one is not struck[0])


def writes_on(writer):
    written = len(writer.files)
    until(lambda: len(writer.files) > written)


def test_each_event_is_in_one_file_whoever_is_killed_or_sleeps(started):
    writers = [started("one"), started("other")]
    until(lambda: all(one.acknowledged for one in writers))

    sleeper, awake = strike(writers, signal.SIGSTOP)
    writes_on(awake)
    sleeper.process.send_signal(signal.SIGCONT)
    said = len(sleeper.acknowledged)
    until(lambda: len(sleeper.acknowledged) > said + 20)

    killed, left = strike(writers, signal.SIGKILL)
    killed.ends(signal.SIGKILL)
    writes_on(left)
    again = started(killed.folder.name)
    until(lambda: again.acknowledged)
    left.ends()  # as in a rolling restart: what waits is written, and the next takes over at once
    writes_on(again)
    again.ends()

    kept = [name for server in (*writers, again) for name in server.acknowledged]
    logged = [name for server in writers for events in served_events(server.folder) for name in events["event_id"]]
    assert len(logged) == len(set(logged)), "no event is in two files"
    assert set(kept) <= set(logged), "what was acknowledged is in one"
    assert len(logged) <= len(kept) + 1, "but for the one that was under way when its sender was killed"
    assert not [path for server in writers for path in server.folder.glob("events/*/.*")]
