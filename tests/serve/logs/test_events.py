import time

import numpy as np
import polars as pl
import pytest

from headrace.contracts.errors import ArtifactError
from headrace.contracts.tables import EVENTS
from headrace.data.log import Log
from headrace.serve.logs.events import EventLog, served_events
from headrace.serve.state.layered import LayeredState
from tests.data.tables import some_events, write_tables
from tests.serve.state.test_layered import row


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir()
    made = LayeredState(tmp_path / "state", Log.from_tables(write_tables(tmp_path / "tables", some_events())), "k", map_gb=0.1)
    yield made
    made.close()


def served(root):
    return pl.concat([EVENTS.schema().to_frame(), *served_events(root)])


def test_events_are_written_once_in_the_contract_s_shape(state, tmp_path):
    log = EventLog(tmp_path, state, sync_s=1000.0, rotate_s=1000.0)
    state.append(row("a", "i1", 1, "one"))
    state.append(row("b", "i2", 2, "two", received_us=86_400_000_000))
    assert log.write() == 2
    assert log.write() == 0
    state.append(row("a", "i3", 3, "three"))
    log.close()
    found = served(tmp_path)
    assert dict(found.schema) == dict(EVENTS.schema())
    assert sorted(found["event_id"]) == ["one", "three", "two"]
    assert sorted(path.name for path in (tmp_path / "events").iterdir()) == ["1970-01-01", "1970-01-02"]


def test_a_process_that_died_between_the_file_and_the_state_leaves_no_event_twice(state, tmp_path, monkeypatch):
    state.append(row("a", "i1", 1, "one"))
    log = EventLog(tmp_path, state, sync_s=1000.0, rotate_s=1000.0)
    monkeypatch.setattr(LayeredState, "written", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        log.write()
    assert len(served(tmp_path)) == 1
    monkeypatch.undo()
    state.append(row("a", "i2", 2, "two"))
    log.close()
    assert sorted(served(tmp_path)["event_id"]) == ["one", "two"]


def test_a_full_disk_keeps_events_until_there_is_room(state, tmp_path, monkeypatch):
    state.append(row("a", "i1", 1, "one"))
    (tmp_path / "events").write_text("in the way")
    log = EventLog(tmp_path, state, sync_s=0.01, rotate_s=0.01)
    with pytest.raises(ArtifactError):
        log.write()
    (tmp_path / "events").unlink()
    log.close()
    assert served(tmp_path)["event_id"].to_list() == ["one"]
    assert state.history(["a"], np.array([10])).lengths.tolist() == [1]


def test_a_half_written_file_of_rows_that_are_another_s_now_is_gone(state, tmp_path):
    half = tmp_path / "events" / "1970-01-01" / ".0000000000000000.parquet.new"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"PAR1 of somebody")
    state.append(row("somebody", "i1", 1, "one"))
    state.append(row("a", "i1", 1, "two"))
    state.forget("somebody")
    log = EventLog(tmp_path, state, sync_s=1000.0, rotate_s=1000.0)
    assert log.write() == 1
    log.close()
    assert served(tmp_path)["event_id"].to_list() == ["two"]
    assert not half.exists()


def test_whatever_fails_the_thread_goes_on_and_a_close_closes(state, tmp_path):
    broken = [ZeroDivisionError("an item's row"), ZeroDivisionError("at the end")]
    log = EventLog(tmp_path, state, sync_s=0.01, rotate_s=0.01, beside=lambda: _raised(broken))
    state.append(row("a", "i1", 1, "one"))
    waited = time.monotonic() + 30
    while served(tmp_path)["event_id"].to_list() != ["one"]:
        assert time.monotonic() < waited
        time.sleep(0.01)
    broken += [ZeroDivisionError("at the end")] * 1000
    log.close()


def _raised(errors):
    if errors:
        raise errors.pop()
