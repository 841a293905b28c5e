import json
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from headrace.artifacts import at_work as module
from headrace.artifacts.at_work import FOLDER, AtWork, command_of, jobs

OTHER = """
import sys, time
from pathlib import Path
from headrace.artifacts.at_work import at_work
told = at_work(Path(sys.argv[1]))
with told.stage("rank dcnv2"):
    told("rank dcnv2", 3, 12, "loss 0.5")
    print("told", flush=True)
    sys.stdin.readline()
"""


def stages(root):
    return [(bar.stage, bar.done, bar.of) for job in jobs(root) for bar in job.bars]


def other(root):
    process = subprocess.Popen([sys.executable, "-c", OTHER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    until = time.monotonic() + 60
    while stages(root) != [("rank dcnv2", 3, 12)] and time.monotonic() < until:
        time.sleep(0.01)
    return process


def test_another_process_is_seen_until_its_end(tmp_path):
    with other(tmp_path) as process:
        (job,) = jobs(tmp_path)
        assert (job.pid, job.running, job.bars[0].note) == (process.pid, True, "loss 0.5")
        process.communicate("\n")
    assert jobs(tmp_path) == []
    assert process.returncode == 0


def test_who_was_killed_is_told_as_stopped_until_the_next_comes(tmp_path):
    with other(tmp_path) as process:
        process.kill()
    (job,) = jobs(tmp_path)
    assert (job.pid, job.running) == (process.pid, False)
    AtWork(tmp_path / FOLDER)("evaluate", 1, 2)
    assert stages(tmp_path) == [("evaluate", 1, 2)]


def test_a_later_process_of_the_same_number_is_another(tmp_path):
    AtWork(tmp_path / FOLDER)("evaluate", 1, 2)
    path = next((tmp_path / FOLDER).iterdir())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"began": "1"}))
    assert [job.running for job in jobs(tmp_path)] == [False]


def test_at_most_five_writes_a_second_and_the_last_word_is_not_lost(tmp_path, monkeypatch):
    writes: list[float] = []
    kept = AtWork._write

    def counted(self):
        writes.append(time.monotonic())
        kept(self)

    monkeypatch.setattr(AtWork, "_write", counted)
    told = AtWork(tmp_path / FOLDER)
    for done in range(2000):
        told("epochs", done, 2000)
    until = time.monotonic() + 60
    while stages(tmp_path) != [("epochs", 1999, 2000)] and time.monotonic() < until:
        time.sleep(0.01)
    assert stages(tmp_path) == [("epochs", 1999, 2000)]
    assert all(later - earlier >= 0.99 * module._APART_S for earlier, later in pairwise(writes))
    told("epochs", 2000, 2000)
    assert jobs(tmp_path) == []


def test_what_a_stage_told_of_goes_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_APART_S", 0.0)
    told = AtWork(tmp_path / FOLDER)
    told("arms", 1, 5)

    def fails():
        with told.stage("rank"):
            told("candidates", 1, 9)
            assert stages(tmp_path) == [("arms", 1, 5), ("rank", 0, 0), ("candidates", 1, 9)]
            told("rank", 1, 1)  # worked out, and not yet in the store
            assert ("rank", 1, 1) in stages(tmp_path)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    assert stages(tmp_path) == [("arms", 1, 5)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 1, "host": "h", "began": "", "bars": [{}]}', '{"bars": 1}'])
def test_a_file_that_is_none_of_ours_is_passed_over(tmp_path, text):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "7.json").write_text(text)
    assert jobs(tmp_path) == []


def test_work_goes_on_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    told = AtWork(tmp_path / "file" / FOLDER)
    with told.stage("rank"):
        told("rank", 1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/usr/bin/headrace", "build", "shop.toml"], "headrace build"), (["headrace", "--help"], ""),
        (["headrace", "u/91"], ""), (["/usr/bin/pytest", "build"], ""), (["headrace"], ""), ([], ""),
    ],
)  # fmt: skip
def test_a_command_is_its_verb_and_no_more(arguments, command):
    assert command_of(arguments) == command
