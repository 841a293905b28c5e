"""A started server of several processes, and which of them one speaks to."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from headrace.serve.workers.supervisor import serving_workers

COMMAND = [sys.executable, "-c", "from headrace.cli.main import run; run()"]
_PATIENCE_S = 120.0


def until(holds: Callable[[], Any], what: str = "") -> Any:
    """What it gave when it held at last; nothing hangs on how long a busy machine takes."""
    ends = time.monotonic() + _PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < ends, what or "it did not come to pass"
        time.sleep(0.02)
    return found


class Several:
    """run: served by so many workers, on a port that is free. more: said to the command."""

    def __init__(self, run: Path, workers: int, log: Path, *more: str):
        self.run, self.workers, self.log = run, workers, log
        with log.open("w") as err:
            command = [*COMMAND, "serve", str(run), "--port", "0", "--workers", str(workers), *more]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            self.process.communicate()
        assert found, log.read_text()
        self.port = int(found[1])
        self.all_ready()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        return [one["pid"] for one in serving_workers(self.run / "served") if one["ready"]]

    def all_ready(self) -> list[int]:
        def ready():
            assert self.process.poll() is None, self.log.read_text()
            pids = self.pids
            return len(pids) == self.workers and pids

        found: list[int] = until(ready, "not all workers were ready")
        return found

    @contextmanager
    def to(self, pid: int):
        """A client whose connection this worker has taken."""
        ends = time.monotonic() + _PATIENCE_S
        while True:
            assert time.monotonic() < ends, f"no connection came to {pid}"
            with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
                try:
                    answer = client.get("/healthz")
                except httpx.TransportError:  # it came to one that was just killed
                    continue
                stream = answer.extensions["network_stream"]
                if self._taken_by(pid, stream.get_extra_info("client_addr")[1]):
                    yield client
                    return

    def ask(self, pid: int, method: str, path: str, **more: Any) -> httpx.Response:
        with self.to(pid) as client:
            answer: httpx.Response = client.request(method, path, **more)
            return answer

    def page(self, pid: int, user: str, **more: Any) -> dict[str, Any]:
        answer = self.ask(pid, "POST", "/v1/recommend", json={"user_id": user, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _taken_by(self, pid: int, client_port: int) -> bool:
        """Whether the server's end of the connection is among the process's files."""
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, here, there, *rest = line.split()
            if (int(here.split(":")[1], 16), int(there.split(":")[1], 16)) == (self.port, client_port):
                wanted = f"socket:[{rest[6]}]"
                return any(_target(one) == wanted for one in Path(f"/proc/{pid}/fd").iterdir())
        return False


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def items(page: dict[str, Any]) -> list[str]:
    return [one["item_id"] for one in page["items"]]


def with_settings(run: Path, **serve: Any) -> Path:
    """Its generations as if their plans had said so in [serve]."""
    for path in (run / "generations").glob("*.json"):
        kept = json.loads(path.read_text())
        kept["plan"]["toml"]["serve"] = serve
        path.write_text(json.dumps(kept))
    return run
