"""Figures of a generation are of all processes: whoever showed the page and wherever the click came in."""

import math

import pytest

from headrace.serve.live.tally import Shown, Tally
from headrace.serve.state.lately import Lately, emptied


@pytest.fixture
def lately(tmp_path):
    made = Lately(emptied(tmp_path / "lately"))
    yield made
    made.close()


def test_a_click_counts_that_came_to_another_process(lately):
    shows, hears = Tally(lately, "g", lambda: 5.0), Tally(lately, "g", lambda: 6.0)
    shows.answered(0.01, Shown("r1", ["tea", "pot"], 0.5))
    shows.answered(0.02, Shown("r2", ["tea"], math.nan))
    for _ in range(2):
        hears.clicked("r1", "pot", 60)
    hears.clicked("r2", "pot", 60)
    hears.clicked("r3", "pot", 60)
    for one in (shows, hears):
        found = one.since(-math.inf)
        assert (found.answers, found.pages, found.clicked, found.foreseen, found.expected) == (2, 2, 1, 1, 0.5)
    assert Tally(lately, "another").since(-math.inf).answers == 0


def test_who_fails_has_no_page_and_no_time(lately):
    tally = Tally(lately, "g")
    with pytest.raises(ZeroDivisionError), tally.failures():
        raise ZeroDivisionError
    tally.answered(0.25)
    found = tally.since(-math.inf)
    assert (found.answers, found.failed, found.pages, found.took_s.tolist()) == (2, 1, 0, [0.25])


def test_the_last_are_looked_back_on_and_no_more_is_kept(lately, monkeypatch):
    monkeypatch.setattr("headrace.serve.live.tally._MOST", 10)
    tally, other = Tally(lately, "g"), Tally(lately, "h")
    other.answered(1.0, Shown("r0", ["tea"], 0.5))
    for number in range(25):
        tally.answered(float(number), Shown(f"r{number}", ["tea"], 0.5))
    assert tally.since(-math.inf).took_s.tolist() == [*range(15, 25)]
    tally.clicked("r3", "tea", math.inf)
    assert tally.since(-math.inf).clicked == 0, "it is too old"
    with lately.reading() as reading:
        assert [reading.stat(lately.tables[name])["entries"] for name in ("answers", "shown")] == [11, 11]
