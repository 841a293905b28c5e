"""Two started workers over one run: to whoever asks they are one server, also when one of them dies."""

import os
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx

from headrace.flywheel.generations import Generations
from headrace.serve.logs.events import served_events
from headrace.serve.workers.duty import on_duty
from headrace.serve.workers.supervisor import FILE, serving_workers
from tests.serve.workers.started import Several, items, until, with_settings


def event(user, item, event_id, **more):
    return {"user_id": user, "item_id": item, "at": "2025-06-20T10:00:00Z", "kind": "view", "event_id": event_id, **more}


class Traffic:
    """Clients who ask for a page, tell of its first item, and go on. kept: ids of events that were acknowledged. failed: what was
    answered with anything else. cut: when requests were sent whose connection broke."""

    def __init__(self, url, name):
        self.url, self.name = url, name
        self.stop, self.kept, self.failed, self.cut = threading.Event(), [], [], []
        self.pages = Counter[str]()

    def visit(self, who):
        turn = 0
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            while not self.stop.is_set():
                user, turn = f"{self.name} {who} {turn // 4}", turn + 1
                event_id, sent_s = f"{user} {turn}", time.monotonic()
                try:
                    page = client.post("/v1/recommend", json={"user_id": user})
                    told = client.post("/v1/events", json=event(user, items(page.json())[0], event_id))
                except httpx.TransportError:
                    self.cut.append(sent_s)
                    continue
                except KeyError:  # it has no items: it is an error
                    self.failed.append(page.text)
                    continue
                self.pages[page.json()["generation"]] += 1
                if told.status_code == 200:
                    self.kept.append(event_id)
                else:
                    self.failed.append(told.text)


@contextmanager
def traffic(several, name, clients=3):
    made = Traffic(several.url, name)
    threads = [threading.Thread(target=made.visit, args=(number,)) for number in range(clients)]
    for one in threads:
        one.start()
    try:
        until(lambda: len(made.kept) >= 10)
        yield made
        if not made.stop.is_set():
            had = len(made.kept)
            until(lambda: len(made.kept) >= had + 10)
    finally:
        made.stop.set()
        for one in threads:
            one.join()


def writer(several):
    return on_duty(several.run / "served" / "duty.lock")


def logged(run):
    return [one for events in served_events(run / "served") for one in events["event_id"]]


def counted(several, pid, series):
    text = several.ask(pid, "GET", "/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(series))


def test_what_one_was_told_the_other_knows(several):
    first, second = several.all_ready()
    assert {several.ask(pid, "GET", "/readyz").status_code for pid in (first, second)} == {200}

    before = items(several.page(first, "c3"))
    assert several.ask(first, "POST", "/v1/events", json=event("c3", before[0], "read it elsewhere")).json()["stored"] == 1
    assert before[0] not in items(several.page(second, "c3")), "one's own event is in the next page, whoever gives it"
    assert several.ask(second, "POST", "/v1/events", json=event("c3", before[0], "read it elsewhere")).json()["repeated"] == 1

    page = several.page(first, "c4", request_id="again", seed=3)
    assert several.page(second, "c4", request_id="again", seed=3)["items"] == page["items"]
    other = several.ask(second, "POST", "/v1/recommend", json={"user_id": "c5", "request_id": "again"})
    assert other.status_code == 409, "it is another request's"

    series = 'headrace_requests_total{route="/v1/recommend",status="200"}'
    had = counted(several, first, series)
    for pid in (first, second, second):
        several.page(pid, "c6")
    assert counted(several, first, series) == counted(several, second, series) == had + 3
    overview = several.ask(first, "GET", "/console/overview/figures").text
    assert f">{first}<" in overview
    assert f">{second}<" in overview

    withdrawn = items(several.page(second, "c7"))[0]
    assert several.ask(first, "PUT", "/v1/items", json={"item_id": withdrawn, "available": False}).status_code == 200
    for number in range(10):
        assert withdrawn not in items(several.page(second, f"somebody {number}"))


def test_what_one_is_asked_to_do_the_other_does(several):
    first, second = several.all_ready()

    def status(pid, number):
        return several.ask(pid, "GET", "/v1/generations").json()["generations"][number - 1]["status"]

    assert several.ask(second, "POST", "/v1/generations/2/shadow").status_code == 200
    until(lambda: status(first, 2) == status(second, 2) == "shadow")
    assert several.ask(first, "DELETE", "/v1/generations/shadow").status_code == 200
    until(lambda: status(first, 2) == status(second, 2) == "closed")
    said = several.ask(first, "POST", "/v1/generations/reload").json()["says"]
    assert said == "generation 1 answers already; the server's other processes look within 0.1 s"


def test_a_killed_worker_loses_nothing_and_comes_back(several):
    several.all_ready()
    until(lambda: writer(several) in several.pids)
    killed = writer(several)
    other = next(pid for pid in several.pids if pid != killed)
    with traffic(several, "killed") as made:
        began = {one["pid"]: one["since"] for one in serving_workers(several.run / "served")}
        os.kill(killed, signal.SIGKILL)
        until(lambda: killed not in several.pids)
        gone_s = time.monotonic()
        for number in range(20):
            assert several.page(other, f"c{number}")["items"], "the other one goes on"
        pids = several.all_ready()
    assert other in pids
    assert killed not in pids
    assert {one["pid"]: one["since"] for one in serving_workers(several.run / "served")}[other] == began[other]
    assert not made.failed
    assert sum(sent_s > gone_s for sent_s in made.cut) <= 3, "of three clients each had a connection to it at most"
    for pid in pids:
        assert several.page(pid, "c1")["items"]
    until(lambda: set(made.kept) <= set(logged(several.run)), "events that were acknowledged are in files")
    assert writer(several) in pids, "another writes them"
    assert f"(process {killed}) was ended by SIGKILL; it is started again in 0 s" in several.log.read_text()


def test_both_go_from_one_generation_to_the_next_and_neither_to_a_corrupt_one(several, monkeypatch):
    ledger = Generations(several.run)
    several.all_ready()

    def answering(pid):
        return several.ask(pid, "GET", "/healthz").json()["generation"]

    with traffic(several, "swapped") as made:
        ledger.promote(2, "better")
        until(lambda: {answering(pid) for pid in several.pids} == {ledger.get(2).key} and made.pages[ledger.get(2).key])
        ledger.promote(1, "worse")
        until(lambda: {answering(pid) for pid in several.pids} == {ledger.get(1).key})
        ranker = ledger.store.find("generation", ledger.get(3).key).manifest.parents["rank"]  # type: ignore[union-attr]
        path = next(iter(several.run.glob(f"store/*/{ranker}/**/*.safetensors")))
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        monkeypatch.setattr(ledger, "check", lambda _: None)
        ledger.promote(3, "half copied")

        def refused(pid):
            told = several.ask(pid, "GET", "/v1/generations").json()
            return told["live"] == 3 and told["serving"] == 1 and told["generations"][2]["status"] == "refused"

        until(lambda: all(refused(pid) for pid in several.pids))
        ledger.promote(1, "back")
        path.write_bytes(whole)
    assert (made.failed, made.cut) == ([], [])
    assert {ledger.get(1).key, ledger.get(2).key} == set(made.pages), "both answered"


def test_a_stop_fails_nobody_and_every_event_is_in_one_file(several):
    """The last: it ends the server that the others ask."""
    first, second = several.all_ready()
    assert several.ask(first, "DELETE", "/v1/users/c8").json()["in_build"]
    for pid in (second, first):
        answer = several.ask(pid, "POST", "/v1/events", json=event("c8", "p1", f"late {pid}"))
        assert answer.json() == {"stored": 0, "repeated": 0, "erased": 1}

    with traffic(several, "stopped") as made:
        several.process.send_signal(signal.SIGTERM)
        with httpx.Client(base_url=several.url, trust_env=False, timeout=60) as client:
            until(lambda: client.get("/readyz").status_code == 503)
        made.stop.set()  # as a balancer would: requests are still taken for drain_s
    assert (made.failed, made.cut) == ([], [])
    several.process.send_signal(signal.SIGTERM)  # nobody waits for the rest of it
    assert several.process.wait(120) == -signal.SIGTERM
    found = logged(several.run)
    assert len(found) == len(set(found)), "none is in two files"
    assert set(made.kept) <= set(found)
    assert not (several.run / "served" / FILE).exists()


def test_workers_stop_when_the_supervisor_is_killed_and_a_new_server_may_start(made_wheel, tmp_path):
    run = with_settings(shutil.copytree(made_wheel, tmp_path / "run"), runtime="torch", drain_s=0.0)
    first = Several(run, 2, tmp_path / "stderr")
    told = first.ask(first.pids[0], "POST", "/v1/events", json=event("c1", "p1", "kept"))
    assert told.json()["stored"] == 1
    workers = first.pids
    first.process.kill()
    first.process.communicate()
    try:
        second = Several(run, 2, tmp_path / "again")
    except AssertionError:
        assert "a server has it open" in (tmp_path / "again").read_text(), "they hold the run until they have stopped"
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        second = Several(run, 2, tmp_path / "again")
    try:
        for pid in second.pids:
            assert second.ask(pid, "POST", "/v1/events", json=event("c1", "p1", "kept")).json()["repeated"] == 1
        assert logged(run) == ["kept"]
    finally:
        second.process.terminate()
        second.process.communicate()
    assert second.process.returncode == -signal.SIGTERM
