"""Two processes of one server over one Redis; the one that writes files is killed."""

import json
import os
import signal

from headrace.serve.logs.events import served_events
from headrace.serve.workers.duty import on_duty
from tests.serve.redis_process import needs_redis
from tests.serve.test_app import bought
from tests.serve.workers.started import Several, items, until

pytestmark = needs_redis


def test_items_pages_and_events_are_everybody_s_and_each_event_is_in_one_file(own_run, tmp_path, redis):
    plan = json.loads((own_run / "plan.json").read_text())
    plan["toml"]["serve"] = {"runtime": "torch", "rotate_s": 0.3, "drain_s": 0.0}
    (own_run / "plan.json").write_text(json.dumps(plan))
    several = Several(own_run, 2, tmp_path / "stderr", "--redis", redis.url)
    try:
        one, other = several.all_ready()
        page = several.page(one, "c1", request_id="r-1")
        assert items(several.page(other, "c1", request_id="r-1")) == items(page)
        gone = items(page)[0]
        assert several.ask(other, "DELETE", f"/v1/items/{gone}").json()["deleted"]
        assert gone not in items(several.page(one, "c1"))

        sent = [bought(f"new {number}", "p3", event_id=f"e{number}") for number in range(40)]
        for pid, events in ((one, sent[:10]), (other, sent[10:20])):
            assert several.ask(pid, "POST", "/v1/events", json=events).json()["stored"] == 10
        writer = until(lambda: list(served_events(own_run / "served")) and on_duty(own_run / "served" / "duty.lock"))
        os.kill(writer, signal.SIGKILL)
        until(lambda: writer not in several.pids)
        left = other if writer == one else one
        assert several.ask(left, "POST", "/v1/events", json=sent[20:]).json()["stored"] == 20
        assert several.ask(left, "POST", "/v1/events", json=sent).json()["repeated"] == 40
        until(lambda: sum(map(len, served_events(own_run / "served"))) == 40, "not all events came to be in files")
        several.all_ready()
    finally:
        several.process.terminate()
        several.process.wait(120)
        several.process.communicate()
    logged = [name for events in served_events(own_run / "served") for name in events["event_id"]]
    assert sorted(logged) == sorted(one["event_id"] for one in sent)
