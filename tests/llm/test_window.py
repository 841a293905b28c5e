import threading

import pytest

from headrace.llm.window import Window


def test_everything_is_done_once_and_no_more_under_way_than_the_window_is_wide():
    under_way, most, lock, taken = 0, 0, threading.Lock(), 0

    def work():
        nonlocal taken
        for number in range(200):
            taken += 1
            yield number

    def do(number):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            assert taken <= len(done) + 4 + 4  # drawn as they are needed, never all at once
        with lock:
            under_way -= 1
        return number * 2

    done: dict[int, int] = {}
    Window(4).run(work(), do, done.__setitem__)
    assert done == {number: number * 2 for number in range(200)}
    assert most <= 4


def test_the_first_exception_ends_it():
    done = []

    def do(number):
        if number == 5:
            raise ValueError("five")
        return number

    with pytest.raises(ValueError, match="five"):
        Window(1).run(range(1000), do, lambda place, _: done.append(place))
    assert done == [0, 1, 2, 3, 4]


def test_nothing_is_handed_on_after_the_hearer_raised():
    heard = []

    def done(place, _):
        heard.append(place)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Window(8).run(range(1000), lambda number: number, done)
    assert len(heard) == 1


def test_a_pause_ends_with_the_window():
    window = Window(2)

    def do(number):
        if number == 0:
            window.sleep(600)
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        window.run(range(2), do, lambda place, result: None)
