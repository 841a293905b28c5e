"""Chunks handed out to so many workers, under one budget.

    lease of a chunk = what is left beyond the leases that are out, over the workers that are free

A chunk that its lease does not bear comes back and half as many workers go on, each with more; the last one alone has all that is
left. So no limit is passed, whoever asks, and none is called reached while another worker sits on what it may not need.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from headrace.contracts.chat import BudgetReached, Usage
from headrace.llm.annotation.filling import Outcome
from headrace.llm.budget import Limits


class Pool(Protocol):
    """slots: chunks that may be in work at a time. taken: see `filling.filled`."""

    @property
    def slots(self) -> int: ...
    def start(self, number: int, taken: Usage) -> None: ...
    def wait(self) -> Outcome:
        """Any that is done, of those started and not yet returned."""
        ...


def dispatched(numbers: Iterable[int], pool: Pool, limits: Limits, spent: Usage) -> Iterator[Outcome]:
    """Those that are whole, as they come. BudgetReached once what is left bears not one row more."""
    left, again = iter(numbers), deque[int]()
    wide, leases, alone = pool.slots, dict[int, Usage](), set[int]()
    while True:
        while len(leases) < wide:
            number = again.popleft() if again else next(left, None)
            if number is None:
                break
            leases[number] = lease(limits, spent, leases.values(), wide - len(leases))
            if wide == 1:
                alone.add(number)
            pool.start(number, spent if wide == 1 else _beyond(limits, leases[number]))
        if not leases:
            return
        done = pool.wait()
        del leases[done.number]
        spent += done.usage
        if not done.reached:
            yield done
        elif done.number in alone:
            raise BudgetReached(done.reached)
        else:
            again.append(done.number)
            wide = max(1, wide // 2)


def lease(limits: Limits, spent: Usage, out: Iterable[Usage], free: int) -> Usage:
    """An equal part for each that is free, of cost, tokens (under prompt_tokens) and calls; 0 where there is no limit."""
    held = sum(out, spent)
    tokens = held.prompt_tokens + held.completion_tokens
    return Usage(
        cost=max(0.0, (limits.max_cost or 0.0) - held.cost) / free,
        prompt_tokens=max(0, (limits.max_tokens or 0) - tokens) // free,
        calls=max(0, (limits.max_calls or 0) - held.calls) // free,
    )


def _beyond(limits: Limits, part: Usage) -> Usage:
    """What of the limits a lease leaves out."""
    return Usage(
        cost=(limits.max_cost or 0.0) - part.cost,
        prompt_tokens=(limits.max_tokens or 0) - part.prompt_tokens,
        calls=(limits.max_calls or 0) - part.calls,
    )
