"""One of several servers, without what answers: `python -m tests.serve.state.redis_writer FOLDER TABLES URL`.

It takes events in, writes the event log, and prints each event that Redis acknowledged and each moment before rows leave; until
SIGTERM.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from headrace.contracts.serving import ServeConfig
from headrace.data.log import Log
from headrace.serve.logs.events import EventLog, served_events
from headrace.serve.state import redis_server
from headrace.serve.state.redis_state import RedisState
from tests.serve.state.test_layered import row

ROTATE_S, LEASE_S, BEFORE_S = 0.1, 1.0, 0.05


def main(folder: Path, tables: Path, url: str) -> None:
    redis_server._WAIT_S = 60.0
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    (folder / "state").mkdir(parents=True, exist_ok=True)
    settings = ServeConfig(state="redis", redis_url=url, map_gb=0.1)
    state = RedisState(folder / "state", Log.from_tables(tables), "k", settings)
    state.lease._ms = int(1000 * LEASE_S)
    leave = state.rows.leave

    def leaves(keys: Sequence[bytes]) -> bool:
        say("leaving")
        time.sleep(BEFORE_S)
        return leave(keys)

    state.rows.leave = leaves  # type: ignore[method-assign]
    if state.stale:
        state.rebuild(served_events(folder))
    log, number = EventLog(folder, state, sync_s=0.05, rotate_s=ROTATE_S), 0
    while not ended.wait(0.005):
        name = f"{folder.name} {os.getpid()} {number}"
        state.receive(row(folder.name, "i3", number, name))
        say(name)
        number += 1
    log.close()
    state.close()


def say(what: str) -> None:
    os.write(1, f"{what}\n".encode())  # at once: what was printed before a kill -9 was said


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
