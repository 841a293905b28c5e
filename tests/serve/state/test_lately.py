"""One process and several see the same; what can't be written is lost and said, and nothing else happens."""

import multiprocessing
import threading

import pytest

from headrace.serve.state.database import Full
from headrace.serve.state.lately import Lately, Ring, emptied, whose


@pytest.fixture
def lately(tmp_path):
    made = Lately(emptied(tmp_path / "lately"))
    yield made
    made.close()


def test_counts_add_up_and_begin_anew(tmp_path):
    for _ in range(2):
        one = Lately(emptied(tmp_path / "lately"))
        assert one.count("arm a") == 0
        one.add("arm a")
        one.add("arm a", 3)
        assert (one.count("arm a"), one.count("arm b")) == (4, 0)
        one.close()


def _counts(folder, times):
    one = Lately(folder)
    for _ in range(times):
        one.add("all")
    one.ask("reload")
    one.close()


def test_processes_add_to_one_count_and_ask_for_numbers_that_rise(lately, tmp_path):
    several = [multiprocessing.get_context("spawn").Process(target=_counts, args=(tmp_path / "lately", 200)) for _ in range(2)]
    for one in several:
        one.start()
    for _ in range(200):
        lately.add("all")
    for one in several:
        one.join(300)
    assert lately.count("all") == 600
    assert lately.asked("reload") == (2, "")


def test_what_is_asked_has_a_number_and_says_what(lately):
    assert lately.asked("shadow") == (0, "")
    assert lately.ask("shadow", "latest") == 1
    assert lately.ask("shadow", "7") == 2
    assert lately.asked("shadow") == (2, "7")


def test_what_is_noted_together_is_one_transaction_of_its_thread(lately):
    seen = []
    with lately.noting():
        lately.add("a")
        lately.add("a")
        other = threading.Thread(target=lambda: seen.append(lately.count("a")))
        other.start()
        other.join()
    assert (seen, lately.count("a")) == ([0], 2)

    def fails():
        with lately.noting():
            lately.add("a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert lately.count("a") == 2, "what failed is not half there"


def test_what_there_is_no_room_for_is_lost_and_said_and_the_rest_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("headrace.serve.state.lately.MAP_MB", 1)
    lost = []
    lately = Lately(emptied(tmp_path / "lately"), lambda: lost.append(1))
    with lately.noting() as writing:
        writing.put(b"k", bytes(2**21), db=lately.tables["requests"])
    assert lost == [1]
    assert "can't be kept" in caplog.text
    with pytest.raises(Full, match="Make room"):
        lately.ask("x", "y" * 2**21)
    lately.add("a")
    assert (lately.count("a"), lately.asked("x")) == (1, (0, ""))
    lately.close()


@pytest.mark.parametrize("of", [b"", whose("one")])
def test_a_ring_holds_the_last(lately, of):
    ring, other = Ring(lately.tables["compared"], 3, of), Ring(lately.tables["compared"], 9, whose("other"))
    out = []
    for number in range(5):
        with lately.noting() as writing:
            if of:
                other.add(writing, b"o")
            assert ring.add(writing, b"%d" % number) == number
            out += ring.over(writing, number)
    with lately.reading() as reading:
        assert ring.values(reading) == [b"2", b"3", b"4"]
        assert len(other.values(reading)) == (5 if of else 0)
    assert out == [b"0", b"1"]
