"""A generation that is surely worse is rolled back, with the figures in the ledger; one that is not stays."""

import itertools
import math

import pytest

from headrace.contracts.serving import GuardrailConfig
from headrace.serve.api.generations import told
from headrace.serve.app import open_service
from headrace.serve.live.guardrails import Watch, wilson
from headrace.serve.live.holder import Live
from headrace.serve.live.tally import Shown, Tally
from headrace.serve.state.lately import Lately, emptied
from tests.serve.live.conftest import quick


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tally(clock, tmp_path):
    """Makes one, of a generation of its own."""
    lately, names = Lately(emptied(tmp_path / "lately")), itertools.count()

    def make(*, answers=0, failed=0, slow=0, pages=0, clicked=0, expected=math.nan):
        made = Tally(lately, str(next(names)), clock)
        with lately.noting():
            for number in range(answers):
                made.answered(0.5 if number < slow else 0.01, failed=number >= answers - failed)
            for number in range(pages):
                made.answered(0.01, Shown(f"r{number}", ["a"], expected))
        for number in range(clicked):
            made.clicked(f"r{number}", "a", 60)
        return made

    yield make
    lately.close()


def judged(clock, mine, before=None, **settings):
    watch = Watch.of(2, GuardrailConfig(**settings), mine, before)
    assert watch is not None
    clock.now += 100  # pages have settled
    return watch.tripped()


def test_failures_trip_from_what_is_surely_above_the_limit_on(clock, tally):
    assert judged(clock, tally(answers=200, failed=4)) is None, "2% may be seen at a rate below the limit"
    assert judged(clock, tally(answers=99, failed=99)) is None, "too few"
    found = judged(clock, tally(answers=200, failed=40))
    assert found.guardrail == "errors"
    assert "20.0% of 200 answers failed" in found.says
    assert judged(clock, tally(answers=200, failed=40), tally(answers=200, failed=40)) is None, "as before"


def test_slow_answers_trip_where_the_predecessor_s_were_not(clock, tally):
    assert judged(clock, tally(answers=400, slow=2)) is None
    assert judged(clock, tally(answers=400, slow=60)).guardrail == "latency"
    assert judged(clock, tally(answers=400, slow=60), tally(answers=400, slow=80)) is None


def test_lost_clicks_trip_only_beyond_the_drop_and_only_where_settled(clock, tally):
    before = tally(pages=1000, clicked=300)
    assert judged(clock, tally(pages=1000, clicked=50), before).guardrail == "clicks"
    assert judged(clock, tally(pages=1000, clicked=200), before) is None
    assert judged(clock, tally(pages=1000, clicked=50)) is None, "nothing is known of a predecessor"
    assert judged(clock, tally(pages=1000, clicked=50), before, click_drop=0.0) is None
    fresh = Watch.of(2, GuardrailConfig(), tally(pages=1000), before)
    assert fresh is not None
    assert fresh.tripped() is None, "their clicks may still come"


def test_drift_is_of_calibrated_rankers_and_both_ways(clock, tally):
    before = tally(pages=2000, clicked=600, expected=0.3)
    for expected in (0.1, 0.9):
        found = judged(clock, tally(pages=2000, clicked=600, expected=expected), before)
        assert found.guardrail == "drift"
    assert judged(clock, tally(pages=2000, clicked=600, expected=0.35), before) is None
    assert judged(clock, tally(pages=2000, clicked=600), before) is None, "it says no probabilities"


def test_a_click_after_its_time_and_on_another_item_is_none(clock, tally):
    made = tally(pages=2)
    made.clicked("r0", "b", 60)
    clock.now = 61
    made.clicked("r1", "a", 60)
    assert made.since(-1).clicked == 0
    assert made.since(-1, settled_s=62).pages == 0


@pytest.mark.parametrize(("hits", "of"), [(0, 100), (50, 100), (100, 100)])
def test_wilson_s_bounds(hits, of):
    lo, hi = wilson(hits, of)
    assert 0 <= lo <= hits / of <= hi <= 1
    assert (hi - lo) > (wilson(hits * 10, of * 10)[1] - wilson(hits * 10, of * 10)[0])


@pytest.fixture
def watched(wheel):
    rails = GuardrailConfig(window_s=600, least=20, click_wait_s=0.01, p99_ms=600_000)
    made = Live(wheel, open_service(wheel, quick(guardrails=rails)))
    yield made
    made.close()


def fail(service, monkeypatch, times):
    def broken(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr(service, "walk", broken)
    for number in range(times):
        with pytest.raises(RuntimeError):
            service.recommend("c1", f"fails {number}")


def test_a_failing_generation_is_rolled_back_once_and_stays_back(watched, ledger, monkeypatch, caplog):
    for number in range(30):
        watched.current.recommend(f"c{number}", f"r{number}")
    ledger.promote(3, "gates passed")
    watched.reload()
    first, third = watched._before, watched.current
    seen = told(watched).watch
    assert seen is not None
    assert seen.number == 3
    fail(third, monkeypatch, 25)
    watched._look()
    assert watched.number == ledger.live_number == 1
    assert watched.current is first, "it was kept open to go back to at once"
    move = ledger.moves[-1]
    assert (move.what, move.to) == ("rollback", 1)
    assert move.why.startswith("guardrail errors: 100.0% of 25 answers failed")
    page = told(watched)
    assert (page.serving, page.live, page.watch) == (1, 1, None)
    assert page.moves[-1].guardrail
    assert 'headrace_guardrail_trips_total{guardrail="errors"} 1.0' in watched.metrics.text().decode()
    monkeypatch.undo()
    for _ in range(5):
        watched._look()
    assert len(ledger.moves) == 3, "and nothing moves by itself after that"
    assert ledger.left(3).startswith("guardrail errors")


def test_a_sound_generation_stays(watched, ledger):
    for number in range(30):
        watched.current.recommend(f"c{number}", f"r{number}")
    ledger.promote(3, "gates passed")
    watched.reload()
    for number in range(30):
        watched.current.recommend(f"c{number}", f"again {number}")
    watched._look()
    assert watched.number == 3
    assert watched.watch is not None


def test_what_was_rolled_back_by_hand_or_moved_meanwhile_is_left_alone(watched, ledger, monkeypatch):
    ledger.promote(3, "")
    watched.reload()
    fail(watched.current, monkeypatch, 25)
    ledger.rollback("by hand")
    watched._judge(watched.watch)
    assert [move.why for move in ledger.moves][-1] == "by hand"
    assert watched.watch is None


def test_the_ledger_knows_why_one_was_left(ledger):
    ledger.promote(2, "")
    assert ledger.left(2) == ""
    ledger.rollback("errors")
    assert ledger.left(2) == "errors"
    ledger.promote(2, "mended, by hand")
    assert ledger.left(2) == ""
