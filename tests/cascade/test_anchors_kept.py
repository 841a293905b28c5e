"""Each history is written once, by each writer; a job that was killed goes on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from headrace.artifacts.arrays import load_arrays
from headrace.cascade.anchors_kept import Kept, missing, written
from headrace.contracts.errors import ArtifactError
from headrace.contracts.requests import Float32, History, Int32
from headrace.methods.prerank.anchors.writer import AnchorWriter
from headrace.testing.examples import history_of
from tests.cascade.some_writer import LastItem, histories


def test_every_row_gets_what_the_writer_says(tmp_path: Path) -> None:
    writer, history = LastItem(), histories()
    assert isinstance(writer, AnchorWriter)
    found = written(writer, history, 3, tmp_path)
    codes, log_prob = LastItem().write(history, 3)
    assert np.array_equal(found.codes, codes)
    assert np.array_equal(found.log_prob, log_prob)
    assert found.users == int((history.lengths > 0).sum()) == 25
    assert max(writer.asked) <= writer.at_once


def test_who_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    history = histories()
    first = written(LastItem(), history, 3, tmp_path)
    again = LastItem()
    assert written(again, history, 3, tmp_path).codes.tobytes() == first.codes.tobytes()
    assert again.asked == []

    rows = [history.items[history.offsets[row] : history.offsets[row + 1]].tolist() for row in range(30)]
    rows[2], rows[3] = [*rows[2], 7], [*rows[3], 99]  # item 99 has no codes: nobody reads it
    grown = history_of([*rows, [5, 6, 7, 8, 9], [6, 6, 7, 8, 9]])
    counted, fresh = missing(again, grown, 3, tmp_path), LastItem()
    found = written(fresh, grown, 3, tmp_path)
    assert sum(fresh.asked) == found.new == counted[1] == 2, "one that changed, one that is new; the last reads the same"
    assert counted[0] == found.users == 27
    assert np.array_equal(found.codes, LastItem().write(grown, 3)[0])


def test_times_are_part_of_a_history(tmp_path: Path) -> None:
    writer = LastItem()
    written(writer, history_of([[1, 2]], [[10, 20]]), 2, tmp_path)
    assert missing(writer, history_of([[1, 2]], [[10, 20]]), 2, tmp_path) == (1, 0)
    assert missing(writer, history_of([[1, 2]], [[10, 30]]), 2, tmp_path) == (1, 1)


def test_another_writer_or_number_of_anchors_begins_anew(tmp_path: Path) -> None:
    written(LastItem(), histories(), 3, tmp_path)
    assert missing(LastItem(name="two"), histories(), 3, tmp_path)[1] > 0
    assert missing(LastItem(), histories(), 2, tmp_path)[1] > 0
    assert missing(LastItem(), histories(), 3, tmp_path)[1] == 0


def test_equal_histories_are_written_once(tmp_path: Path) -> None:
    writer = LastItem()
    found = written(writer, history_of([[1, 2]] * 5), 2, tmp_path)
    assert writer.asked == [1]
    assert (found.codes == found.codes[0]).all()
    assert found.users == 5


def test_what_nobody_asked_for_is_forgotten(tmp_path: Path) -> None:
    written(LastItem(), history_of([[1], [2], [3]]), 2, tmp_path)
    written(LastItem(), history_of([[2]]), 2, tmp_path)
    (part,) = tmp_path.glob("*/part-*.safetensors")
    assert len(load_arrays(part)["keys"]) == 1
    assert missing(LastItem(), history_of([[1], [2]]), 2, tmp_path) == (2, 1)


def test_nobody_with_a_history(tmp_path: Path) -> None:
    found = written(LastItem(), history_of([[], []]), 2, tmp_path)
    assert (found.codes == -1).all()
    assert (found.users, found.new) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    written(LastItem(), histories(), 3, tmp_path)
    (part,) = tmp_path.glob("*/part-*.safetensors")
    part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(ArtifactError, match="part-"):
        missing(LastItem(), histories(), 3, tmp_path)


SLOW = """
import sys, time
from pathlib import Path
from headrace.cascade.anchors_kept import written
from tests.cascade.some_writer import LastItem, histories

class Slow(LastItem):
    def write(self, history, n):
        if len(self.asked) == 4:
            time.sleep(600)  # until it is killed
        return super().write(history, n)

written(Slow(), histories(200), 3, Path(sys.argv[1]))
"""


def test_a_killed_job_goes_on_where_it_was(tmp_path: Path) -> None:
    """A real process and a real SIGKILL: what was on the disk is not written again, and the answer is the same to the bit."""
    first = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path)])
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("*/part-*.safetensors"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    writer, history = LastItem(), histories(200)
    everybody = missing(LastItem(), history, 3, tmp_path / "elsewhere")[1]
    left = missing(writer, history, 3, tmp_path)[1]
    assert 0 < left <= everybody - 3 * writer.at_once
    found = written(writer, history, 3, tmp_path)
    assert sum(writer.asked) == left, "only who was not on the disk"
    assert np.array_equal(found.codes, LastItem().write(history, 3)[0])
    assert len(Kept(tmp_path, writer.fingerprint, 3)._keys) == everybody


class SometimesSilent(LastItem):
    """Says nothing of whom had an odd item last, until it is asked a second time."""

    asked_before = False

    def write(self, history: History, n: int) -> tuple[Int32, Float32]:
        codes, log_prob = super().write(history, n)
        mute = (history.last(1)[:, 0] % 2 == 1) & (not self.asked_before)
        return np.where(mute[:, None, None], -1, codes).astype(np.int32), np.where(mute[:, None], -np.inf, log_prob).astype(
            np.float32
        )


def test_of_whom_nothing_was_said_it_is_asked_again(tmp_path: Path) -> None:
    history = histories()
    there, odd = history.lengths > 0, history.last(1)[:, 0] % 2 == 1
    writer = SometimesSilent()
    found = written(writer, history, 3, tmp_path)
    assert found.without == int((there & odd).sum()) > 0
    assert np.array_equal((found.codes >= 0).all((1, 2)), there & ~odd)
    whole, log_prob = LastItem().write(history, 3)
    assert np.array_equal(found.codes[there & ~odd], whole[there & ~odd])
    assert missing(writer, history, 3, tmp_path)[1] > 0
    writer.asked_before = True
    again = written(writer, history, 3, tmp_path)
    assert again.without == 0
    assert 0 < again.new < found.new
    assert np.array_equal(again.codes, whole)
    assert np.array_equal(again.log_prob, log_prob)
