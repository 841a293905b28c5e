"""A generation that answers for nobody: counted, compared, never logged as shown, never in an answer's way."""

import threading

import numpy as np
import pytest

from headrace.contracts.rng import mix, stable_hash, uniform
from headrace.serve.live.shadow import _SALT, Shadow, spearman
from tests.serve.live.conftest import quick


@pytest.fixture
def shadow(live, ledger):
    """The third generation beside the first, asked everything."""
    made = Shadow(live.open.opened(ledger.get(3)), live.metered, share=1.0, waiting=4)
    yield made
    made.close()


def asked(live, count, shadow, start=0):
    for number in range(start, start + count):
        shadow.offer(live.current.recommend(f"c{number}", f"r{number}"), live.current)


def until_done(shadow, count):
    for _ in range(12_000):
        if sum(shadow.counts.values()) >= count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(shadow.counts)


def test_it_is_compared_with_what_was_shown(live, ledger, shadow):
    shown = []
    for number in range(8):
        given = live.current.recommend(f"c{number}", f"r{number}")
        shadow.offer(given, live.current)
        until_done(shadow, number + 1)
        walked = shadow.candidate.walk(given.asked, counted=False)
        mine = {shadow.candidate.names.ids[item] for item in walked.slates.items[0]}
        shown.append(len(mine & {one.item_id for one in given.page}) / 4)
    found = shadow.figures()
    assert (found["answered"], found["failed"], found["dropped"]) == (8, 0, 0)
    assert found["overlap"] == pytest.approx(np.mean(shown), abs=1e-4)
    assert 0 < found["overlap"] < 1, "they agree in part: the check can fail"
    assert -1 <= found["rank_correlation"] <= 1
    assert found["shadow_p99_ms"] > 0
    text = live.metrics.text().decode()
    key = ledger.get(3).key
    assert f'headrace_shadow_answers_total{{generation="{key}",outcome="answered"}} 8.0' in text
    assert f'headrace_shadow_overlap_count{{generation="{key}"}} 8.0' in text


def test_the_same_generation_beside_itself_agrees(live):
    one = Shadow(live.current, live.metered, share=1.0, waiting=4)
    asked(live, 3, one)
    until_done(one, 3)
    found = one.figures()
    one.close()
    assert (found["overlap"], found["rank_correlation"]) == (1.0, 1.0)


def test_a_full_queue_drops_and_a_failure_is_counted(live, shadow, monkeypatch):
    held, walk = threading.Event(), shadow.candidate.walk

    def slow(*arguments, **settings):
        assert held.wait(120)
        raise ValueError("broken")

    monkeypatch.setattr(shadow.candidate, "walk", slow)
    asked(live, 10, shadow)
    assert shadow.counts["dropped"] in (5, 6), "four wait, and one may be worked on"
    held.set()
    until_done(shadow, 10)
    assert shadow.counts["failed"] == 10 - shadow.counts["dropped"]
    assert shadow.figures()["last_failure"] == "ValueError: broken"
    monkeypatch.setattr(shadow.candidate, "walk", walk)


def test_what_waits_when_it_is_closed_is_not_answered_any_more(live, ledger, monkeypatch):
    busy, held, walked = threading.Event(), threading.Event(), []
    made = Shadow(live.open.opened(ledger.get(3)), live.metered, share=1.0, waiting=4)

    def slow(asked, **settings):
        walked.append(asked.request_id)
        busy.set()
        assert held.wait(120)
        raise ValueError("broken")

    monkeypatch.setattr(made.candidate, "walk", slow)
    asked(live, 1, made)
    assert busy.wait(120)
    asked(live, 9, made, start=1)
    closing = threading.Thread(target=made.close)
    closing.start()
    assert made.closing.wait(120)
    held.set()
    closing.join(10)
    assert not closing.is_alive()
    assert walked == ["r0"]


def test_a_share_is_asked_and_a_request_sent_again_is_not(live, ledger):
    some = Shadow(live.open.opened(ledger.get(3)), live.metered, share=0.3, waiting=100)
    asked(live, 40, some)
    drawn = [number for number in range(40) if uniform(mix(stable_hash([f"r{number}"]), _SALT))[0] < 0.3]
    assert 3 <= len(drawn) <= 22
    until_done(some, len(drawn))
    again = drawn[0]
    some.offer(live.current.recommend(f"c{again}", f"r{again}"), live.current)
    assert not some._queue.qsize()
    some.close()
    assert some.counts == {"answered": len(drawn), "failed": 0, "dropped": 0}


def test_nothing_of_it_is_logged(live, shadow, wheel):
    from headrace.serve.logs.impressions import logged_request

    asked(live, 5, shadow)
    until_done(shadow, 5)
    live.close()
    found = logged_request(wheel / "served", "r1")
    assert found is not None
    assert found[1] == live.current.generation
    live.open.by_key = {}


def test_the_newest_that_is_not_live_is_cast(wheel, ledger):
    from headrace.serve.app import open_service
    from headrace.serve.live.holder import Live

    live = Live(wheel, open_service(wheel, quick(shadow="latest", reload_s=1000.0)))
    live.begin()
    assert live.shadow is not None
    assert live.shadow.candidate.generation == ledger.get(3).key
    assert [one.status for one in live.all()] == ["live", "closed", "shadow"]
    live.cast(2)
    assert live.shadow.candidate.generation == ledger.get(2).key
    live.cast(None)
    assert live.shadow is None
    live.close()


def test_rank_correlation_of_common_items():
    assert spearman(list("abcde"), list("abcde")) == 1
    assert spearman(list("abcde"), list("edcba")) == -1
    assert spearman(list("axbc"), list("abyc")) == 1, "of the items in both"
    assert spearman(list("abcd"), list("abdc")) == pytest.approx(0.8)
    assert np.isnan(spearman(list("ab"), list("ab")))
