"""A started server with keys and machine-readable logs, told to stop while it is asked."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from headrace.serve.guard.keys import add_key, revoke_key
from headrace.serve.logs.impressions import logged_request
from tests.ports import free_port

HEADRACE = Path(sys.executable).parent / "headrace"


def test_keys_logs_and_a_stop_in_steps(own_run, tmp_path):
    _patient(own_run)
    secret, gone = (add_key(own_run, name, ["read", "write"]) for name in ("website", "gone"))
    port, said = free_port(), tmp_path / "stderr"
    with said.open("w") as stderr:
        command = [str(HEADRACE), "serve", str(own_run), "--port", str(port), "--host", "0.0.0.0", "--log-format", "json"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            answered = _conversation(client, server, own_run, secret, gone)
        assert server.wait(60) in (0, -signal.SIGTERM)
    finally:
        server.kill()
        printed = server.communicate()[0]
    assert "asks for a key: 2 known" in printed
    assert all(logged_request(own_run / "served", one) is not None for one in answered)
    lines = [json.loads(line) for line in said.read_text().splitlines()]
    answers = [line for line in lines if "route" in line]
    assert {"at", "level", "id", "method", "route", "status", "ms", "key", "generation", "bytes"} <= answers[0].keys()
    assert {(line["route"], line["status"], line["key"]) for line in answers} >= {
        ("/v1/recommend", 200, "website"), ("/v1/recommend", 401, ""), ("/readyz", 503, ""),
    }  # fmt: skip
    everywhere = printed + said.read_text() + "".join(
        path.read_bytes().decode("latin-1") for path in own_run.rglob("*") if path.is_file() and path.suffix != ".npy"
    )  # fmt: skip
    for one in (secret, gone):
        assert one.split("_", 2)[2] not in everywhere, "the last part may hold a _ itself"
    assert "user of theirs" not in said.read_text()


def _patient(run):
    """It drains for longer than any machine takes to look, and is told to stop a second time: that it ends by itself is seen in
    `test_listening`."""
    kept = json.loads((run / "plan.json").read_text())
    kept["toml"]["serve"] = {"drain_s": 600.0}
    (run / "plan.json").write_text(json.dumps(kept))


def _conversation(client, server, run, secret, gone):
    """Ids of the requests that were answered."""
    deadline = time.monotonic() + 120
    while True:
        try:
            assert client.get("/readyz").status_code == 200
            break
        except httpx.TransportError:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def ask(key, request_id):
        body = {"user_id": "user of theirs", **({"request_id": request_id} if request_id else {})}
        return client.post("/v1/recommend", json=body, headers={"Authorization": f"Bearer {key}"})

    assert ask(gone, "r1").status_code == 200
    revoke_key(run, "gone")
    assert ask(gone, "r2").status_code == 401
    assert ask(secret, "r3").status_code == 200
    server.send_signal(signal.SIGTERM)
    until = time.monotonic() + 120
    while client.get("/readyz").status_code != 503:
        assert time.monotonic() < until
    assert ask(secret, "r4").status_code == 200, "it is answered while it drains"
    server.send_signal(signal.SIGTERM)
    try:
        while ask(secret, "").status_code != 503:
            assert time.monotonic() < until
    except httpx.TransportError:  # the door was shut between two requests
        pass
    return "r1", "r3", "r4"
