import threading
import time

import pytest

from headrace.serve.together import Together


def at_once(together, number):
    """What each of so many callers got; the first holds the others up."""
    found, threads = {}, []

    def call(one):
        try:
            found[one] = together(one)
        except OSError as error:
            found[one] = error

    for one in range(number):
        threads.append(threading.Thread(target=call, args=(one,)))
        threads[-1].start()
        time.sleep(0.02 if one == 0 else 0.002)
    for thread in threads:
        thread.join()
    return found


def test_those_who_come_meanwhile_are_one_piece_of_work_and_each_gets_its_own():
    pieces = []

    def work(asked):
        time.sleep(0.1)
        pieces.append(list(asked))
        return [one * 10 for one in asked]

    assert at_once(Together(work), 8) == {one: one * 10 for one in range(8)}
    assert pieces == [[0], [*range(1, 8)]]


def test_where_it_fails_all_who_asked_are_told_and_the_next_is_worked_on():
    fails = iter([False, True, False])

    def work(asked):
        time.sleep(0.05)
        if next(fails):
            raise OSError("no room")
        return asked

    together = Together(work)
    found = at_once(together, 4)
    assert found[0] == 0
    assert all(isinstance(found[one], OSError) for one in (1, 2, 3))
    assert together(5) == 5


def test_what_is_no_mistake_of_the_work_is_not_swallowed():
    def work(asked):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Together(work)(1)
