"""A server does not grow with what it was asked: what is remembered of requests lies in files, which the kernel may take back.

Requests that say much (1,000 excluded items) take some 20 kB each where what was asked is held. Allowed are 8 kB a request, over
400 of them: steps that a process takes once (its table of interned strings is 4 MB) are 3 MB at most. What holds less of each is
not found here but by `benchmarks.soak`, which takes minutes.
"""

import subprocess
import sys
import time
from contextlib import contextmanager

import httpx

from benchmarks.soak import anonymous_mb
from headrace.serve.bench.footprint import footprint
from tests.serve.test_app import bought

MOST_KB, WARM, THEN = 8.0, 150, 400
EXCLUDED = [f"nobody sells item {n}" for n in range(1000)]


@contextmanager
def started(run, *said):
    command = [sys.executable, "-m", "tests.serve.growing", str(run), *said]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.communicate(timeout=120)


def asked(url, first, count):
    """Pages, and an event of one in four, on one connection."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for number in range(first, first + count):
            ask = {"user_id": f"c{number % 40}", "request_id": f"r{number}", "exclude": EXCLUDED}
            assert client.post("/v1/recommend", json=ask).status_code == 200
            if number % 4 == 0:
                event = bought(f"c{number % 40}", "p1", event_id=f"e{number}", request_id=f"r{number}")
                assert client.post("/v1/events", json=event).status_code == 200


def grown(run, count, *said):
    """kB a request, and open files in all."""
    with started(run, *said) as (pid, url):
        asked(url, 0, WARM)
        before = at_rest(pid)
        asked(url, WARM, count)
        after = at_rest(pid)
    return 1024 * (after[0] - before[0]) / count, after[1] - before[1]


def at_rest(pid):
    """Megabytes and open files, once they stand still: logs are written a moment after the answers."""
    seen = [(anonymous_mb(pid), footprint(pid).files)]
    for _ in range(60):
        time.sleep(0.5)
        seen.append((anonymous_mb(pid), footprint(pid).files))
        if len(set(seen[-3:])) == 1:
            break
    return seen[-1]


def test_neither_memory_nor_files_grow_with_requests(own_run):
    kb, files = grown(own_run, THEN)
    assert kb < MOST_KB
    assert files <= 2


def test_a_server_that_holds_on_to_pages_is_found(own_run):
    kb, _ = grown(own_run, 150, "leak")
    assert kb > 1.5 * MOST_KB, "some 20 kB each are held"
