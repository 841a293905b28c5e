"""What is noticed by itself, what is told over HTTP, and what a closed generation leaves."""

import gc
import time
import weakref

import pytest
from fastapi.testclient import TestClient

from headrace.contracts.errors import ArtifactError
from headrace.contracts.serving import GuardrailConfig
from headrace.serve.app import create_app
from headrace.serve.live.guardrails import Tripped
from headrace.serve.workers.duty import Duty
from tests.serve.live.conftest import quick


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_promotion_and_a_rollback_are_noticed_and_nobody_asks_for_it(wheel, ledger, caplog):
    caplog.set_level("INFO", "headrace.serve.live")
    with TestClient(create_app(wheel, quick())) as client:
        ledger.promote(2, "gates passed")
        until(lambda: client.get("/healthz").json()["generation"] == ledger.get(2).key)
        until(lambda: client.get("/v1/generations").json()["generations"][0]["status"] == "closed")
        ledger.rollback("errors on the home page")
        until(lambda: client.get("/healthz").json()["generation"] == ledger.get(1).key)
        assert f'headrace_generation{{generation="{ledger.get(1).key}"}} 1.0' in client.get("/metrics").text
    said = [record.getMessage() for record in caplog.records]
    assert "generation 2 answers instead of 1 (gates passed)" in said
    assert "generation 1 answers instead of 2 (errors on the home page)" in said


def test_what_is_told_and_asked_over_http(wheel, ledger):
    with TestClient(create_app(wheel, quick(reload_s=1000.0))) as client:
        client.post("/v1/recommend", json={"user_id": "c1"})
        assert client.post("/v1/generations/reload").json() == {"serving": 1, "says": "generation 1 answers already"}
        done = client.post("/v1/generations/3/shadow")
        assert done.json() == {"serving": 1, "says": "generation 3 answers silently beside 1"}
        first, _, third = client.get("/v1/generations").json()["generations"]
        assert (first["status"], first["answers"]["answers"], first["says"]) == ("live", 1, "made from first")
        assert (third["status"], third["shadow"]["share"]) == ("shadow", 0.1)
        assert client.delete("/v1/generations/shadow").status_code == 200
        for path, status in (("9/shadow", 404), ("1/shadow", 409), ("x/shadow", 422)):
            assert client.post(f"/v1/generations/{path}").status_code == status
        assert client.get("/v1/experiments").json() == []
        (wheel / "live.json").write_text("half a led")
        refused = client.post("/v1/generations/reload")
        assert refused.status_code == 409
        assert "not a ledger of promotions" in refused.json()["error"]["message"]
        assert "not a ledger of promotions" in client.get("/v1/generations").json()["problem"]
        assert client.post("/v1/recommend", json={"user_id": "c1"}).status_code == 200


def test_a_closed_generation_leaves_the_memory(live, ledger):
    gc.collect()
    gc.freeze()  # as a server does when it starts
    old = weakref.ref(live.current), weakref.ref(live.current.cascade), weakref.ref(live.current.pipeline)
    ledger.promote(2, "")
    live.reload()
    live.open.take_out({live.current.generation})
    live.open.let_go()
    gc.unfreeze()
    assert [one() for one in old] == [None, None, None]


@pytest.mark.parametrize("window_s", [0.0, 600.0])
def test_the_one_to_go_back_to_is_kept_while_guardrails_watch(wheel, ledger, window_s):
    app = create_app(wheel, quick(guardrails=GuardrailConfig(window_s=window_s), reload_s=1000.0))
    with TestClient(app) as client:
        live = app.state.serving.live
        ledger.promote(3, "")
        client.post("/v1/generations/reload")
        until(lambda: len(live.open.by_key) == (2 if window_s else 1))
        assert client.get("/v1/generations").json()["generations"][0]["status"] == ("open" if window_s else "closed")


class Alarm:
    """A watch that has tripped."""

    number, over = 2, False

    def tripped(self):
        return Tripped("errors", "all failed")


def test_of_several_processes_the_one_with_the_duty_rolls_back(live, ledger):
    ledger.promote(2, "")
    assert live.reload() == "generation 2 answers"
    mine = live.current.shared.duty
    mine.close()
    other = Duty(mine.path)
    assert other.mine
    live.current.shared.duty = Duty(mine.path)
    live.watch = Alarm()
    live._look()
    assert ledger.live_number == live.number == 2
    assert live.watch is not None, "it goes on: the other one may die"
    other.close()
    live._look()
    assert [move.what for move in ledger.moves] == ["promote", "promote", "rollback"]
    assert live.number == 1
    assert live.watch is None


def test_one_that_is_wanted_again_while_others_are_closed_is_open(live, ledger, monkeypatch):
    for number in (2, 3):
        live.open.opened(ledger.get(number))
    live.open.take_out(live._needed())
    monkeypatch.setattr(live.open.flights, "landed", lambda *_: live.shadow is not None or live.cast(3) is None)
    live.open.let_go()
    assert live.shadow.candidate is live.open.by_key[ledger.get(3).key]
    assert live.shadow.candidate.recommend("c1", "still open").page
    assert set(live.open.by_key) == {ledger.get(1).key, ledger.get(3).key}


def test_one_that_fails_to_close_keeps_no_other_open(live, ledger, monkeypatch, caplog):
    second, third = (live.open.opened(ledger.get(number)) for number in (2, 3))
    close = second.close
    monkeypatch.setattr(second, "close", lambda: close() or 1 / 0)
    live.open.take_out(live._needed())
    live.open.let_go()
    assert live.current.state.views == [live.current.state]
    assert f"generation {second.generation} could not be closed" in caplog.text
    assert third.generation not in live.open.by_key


def test_a_shadow_that_can_t_be_opened_leaves_the_one_there_is(live, ledger, monkeypatch):
    live.cast(3)
    with monkeypatch.context() as broken:
        broken.setattr("headrace.serve.live.open_ones.open_beside", lambda *_: 1 / 0)
        with pytest.raises(ArtifactError):
            live.cast(2)
    live._look()
    assert live.shadow is not None
    assert live.shadow.candidate.generation == ledger.get(3).key
