from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from headrace.contracts.chat import BudgetReached, Usage
from headrace.llm.annotation.filling import Outcome
from headrace.llm.annotation.leases import dispatched, lease
from headrace.llm.budget import Limits


class Chunks:
    """A pool without models: a chunk wants so many calls, makes as many as its budget bears, and goes on from there next time."""

    def __init__(self, wants, slots, limits):
        self.left, self.slots, self.limits = dict(enumerate(wants)), slots, limits
        self.spent, self.most_at_once, self._out = 0, 0, deque[tuple[int, int]]()

    def start(self, number, taken):
        room = self.left[number] if self.limits.max_calls is None else self.limits.max_calls - taken.calls
        self._out.append((number, max(0, room)))
        self.most_at_once = max(self.most_at_once, len(self._out))

    def wait(self):
        number, room = self._out.popleft()
        made = min(room, self.left[number])
        self.left[number] -= made
        self.spent += made
        assert self.limits.max_calls is None or self.spent <= self.limits.max_calls
        return Outcome(number, Usage(calls=made), reached="the budget ends" if self.left[number] else "")


def done(pool, spent=0):
    return [one.number for one in dispatched(range(len(pool.left)), pool, pool.limits, Usage(calls=spent))]


def test_without_limits_all_slots_are_busy_and_every_chunk_comes():
    pool = Chunks([5] * 9, 3, Limits())
    assert sorted(done(pool)) == list(range(9))
    assert pool.most_at_once == 3


@settings(deadline=None, max_examples=200)
@given(wants=lists(integers(0, 30), min_size=1, max_size=12), slots=integers(1, 5), short=integers(0, 40))
def test_no_limit_is_passed_and_what_is_enough_is_enough(wants, slots, short):
    limit = max(0, sum(wants) - short)
    pool = Chunks(wants, slots, Limits(max_calls=limit))
    if limit == sum(wants):
        assert sorted(done(pool)) == list(range(len(wants)))
    else:
        with pytest.raises(BudgetReached, match="the budget ends"):
            done(pool)
        assert pool.spent == limit, "all that was allowed was used before it was called reached"


def test_what_earlier_runs_spent_counts():
    pool = Chunks([5, 5], 2, Limits(max_calls=9))
    pool.spent = 4
    with pytest.raises(BudgetReached):
        done(pool, spent=4)
    assert pool.spent == 9


def test_a_lease_is_an_equal_part_of_what_nobody_holds():
    limits = Limits(max_cost=10.0, max_tokens=1000)
    spent, out = Usage(cost=2.0, prompt_tokens=100, completion_tokens=100), [Usage(cost=2.0, prompt_tokens=200)]
    assert lease(limits, spent, out, 3) == Usage(cost=2.0, prompt_tokens=200)
    assert lease(limits, spent, [*out, Usage(cost=7.0, prompt_tokens=900)], 1) == Usage()
