import os
import subprocess
import sys
import threading
import time

from headrace.serve.bench.footprint import below, footprint

CHILD = "import subprocess, sys; p = subprocess.Popen(['sleep', '30']); print(p.pid, flush=True); p.wait()"


def test_processes_below_are_counted_and_gone_ones_are_not():
    with subprocess.Popen([sys.executable, "-S", "-c", CHILD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        sleeper = int(parent.stdout.readline())
        try:
            assert below(parent.pid) == [sleeper]
            found = footprint(parent.pid)
            assert found.processes == 2
            assert found.rss_mb >= found.pss_mb >= found.private_mb > 0
        finally:
            os.kill(sleeper, 9)
    assert footprint(parent.pid).processes == 0


def test_open_files_and_time_on_a_core_show():
    before = footprint(os.getpid())
    ends = time.thread_time() + 0.05
    with open(__file__) as _:
        while time.thread_time() < ends:
            pass
        after = footprint(os.getpid())
    assert after.files >= before.files + 1
    assert after.ran_s - before.ran_s >= 0.03, "of 0.05 s, in ticks of 0.01"


def test_time_of_threads_that_ended_counts():
    def busy():
        ends = time.thread_time() + 0.05
        while time.thread_time() < ends:
            pass

    before = footprint(os.getpid()).ran_s
    thread = threading.Thread(target=busy)
    thread.start()
    thread.join()
    assert footprint(os.getpid()).ran_s - before >= 0.03
