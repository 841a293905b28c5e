import threading
import time

import pytest

from headrace.serve.state.together import Together


def at_once(work, number):
    """The calls' object and what each got; the first piece of work begins once all others wait behind it."""
    found: dict[int, object] = {}
    begun, wait_for_it = threading.Event(), threading.Event()

    def held(asked):
        begun.set()
        assert wait_for_it.wait(30)
        return work(asked)

    together = Together(held)

    def call(one):
        try:
            found[one] = together(one)
        except OSError as error:
            found[one] = error

    threads = [threading.Thread(target=call, args=(one,)) for one in range(number)]
    threads[0].start()
    assert begun.wait(30)
    for count, thread in enumerate(threads[1:], 1):
        thread.start()
        until = time.monotonic() + 30
        while len(together._waiting) < count and time.monotonic() < until:
            time.sleep(0.001)
    wait_for_it.set()
    for thread in threads:
        thread.join()
    return together, found


def test_those_who_come_meanwhile_are_one_piece_of_work_and_each_gets_its_own():
    pieces = []

    def work(asked):
        pieces.append(list(asked))
        return [one * 10 for one in asked]

    _, found = at_once(work, 8)
    assert found == {one: one * 10 for one in range(8)}
    assert pieces == [[0], [*range(1, 8)]]


def test_where_it_fails_all_who_asked_are_told_and_the_next_is_worked_on():
    fails = iter([False, True, False])

    def work(asked):
        if next(fails):
            raise OSError("no room")
        return asked

    together, found = at_once(work, 4)
    assert found[0] == 0
    assert all(isinstance(found[one], OSError) for one in (1, 2, 3))
    assert together(5) == 5


def test_what_is_no_mistake_of_the_work_is_not_swallowed():
    def work(asked):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Together(work)(1)
