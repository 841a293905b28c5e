import pytest

from headrace.contracts.chat import Completion, Usage
from headrace.llm.annotation.tally import Pulse


def test_rate_time_to_go_cost_and_share_are_told():
    now, told = [0.0], []
    pulse = Pulse(lambda *one: told.append(one), total=1000, done=100, spent=Usage(cost=1.0), clock=lambda: now[0])
    for second in range(1, 101):
        now[0] = float(second)
        usage = Usage(calls=1, cost=0.01, unparsed=second % 4 == 0)
        pulse.heard(Completion("", "unparsed" if usage.unparsed else "parsed", usage=usage))
    assert len(told) == 100
    assert told[-1] == ("rows", 200, 1000, "1 rows/s, 0:13:20 to go, cost 2, 25.0% lost")
    now[0] += 0.1
    pulse.heard(Completion("", "parsed", {}))
    assert len(told) == 100, "not more often than somebody can read"
    assert pulse.done == 201


def test_the_rate_is_of_the_last_minute():
    now = [0.0]
    pulse = Pulse(lambda *_: None, total=10_000, done=0, spent=Usage(), clock=lambda: now[0])
    for second in range(1, 200):
        now[0] = float(second)
        pulse.add(1 if second < 100 else 10, Usage())
    assert pulse.rate == pytest.approx(10, rel=0.02)


def test_the_last_row_is_always_told():
    told = []
    pulse = Pulse(lambda *one: told.append(one), total=1, done=0, spent=Usage(), clock=lambda: 0.0)
    assert "? to go" in pulse.note
    pulse.heard(Completion("", "parsed", {}))
    assert told[-1][1:3] == (1, 1)
