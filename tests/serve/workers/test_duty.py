import os
import signal
import subprocess
import sys

from headrace.serve.workers.duty import Duty, on_duty

HOLD = """
import sys, time
from pathlib import Path
from headrace.serve.workers.duty import Duty
duty = Duty(Path(sys.argv[1]))
print(duty.mine, flush=True)
time.sleep(600)
"""


def test_one_has_it_and_its_death_gives_it_on(tmp_path):
    path = tmp_path / "duty.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        mine = Duty(path)
        assert not mine.mine
        assert on_duty(path) == holder.pid
        holder.send_signal(signal.SIGKILL)
    assert mine.mine
    assert on_duty(path) == os.getpid()
    mine.close()


def test_it_is_kept_until_it_is_given_up(tmp_path):
    first, second = Duty(tmp_path / "duty.lock"), Duty(tmp_path / "duty.lock")
    assert [first.mine, second.mine, first.mine] == [True, False, True]
    first.close()
    assert [second.mine, first.mine] == [True, False]
    second.close()


def test_nobody_had_it(tmp_path):
    assert on_duty(tmp_path / "duty.lock") is None
    Duty(tmp_path / "duty.lock").close()
    assert on_duty(tmp_path / "duty.lock") is None
