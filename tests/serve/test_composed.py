"""What deploy/docker-compose.yml starts, started by hand: its Redis by its own line, and a server that gets at it by the file."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import open_service
from headrace.serve.messages import Event
from tests.ports import free_port
from tests.serve.redis_process import PROGRAM, needs_redis

SERVICES = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "docker-compose.yml").read_text())["services"]


@pytest.fixture
def placed():
    """A short folder in the place of the containers' paths, with the secret in it: lines of the file as they run here."""
    folder = Path(tempfile.mkdtemp(prefix="hr-", dir="/tmp"))
    (folder / "data").mkdir()
    (folder / "redis_password").write_text("6cb2f9a1d0e84c57")

    def line(said: str) -> str:
        for theirs, ours in (("/run/secrets", folder), ("/tmp/redis.conf", folder / "redis.conf"), ("/data", folder / "data")):
            said = said.replace(theirs, str(ours))
        return said.replace("$$", "$")

    yield folder, line
    shutil.rmtree(folder)


@needs_redis
def test_its_redis_asks_for_the_password_keeps_every_write_and_is_healthy(placed, own_run):
    folder, line = placed
    shell, option, said = SERVICES["redis"]["command"]
    port = free_port()
    kept = subprocess.Popen([shell, option, f"{line(said)} --port {port} --loglevel warning"], stdout=subprocess.DEVNULL)
    try:
        kind, healthy = SERVICES["redis"]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        at_port = {**os.environ, "PATH": f"{Path(str(PROGRAM)).parent}:{os.environ['PATH']}"}
        check = line(healthy).replace("redis-cli", f"redis-cli -p {port}")
        deadline = time.monotonic() + 60
        while subprocess.run(["sh", "-c", check], capture_output=True, env=at_port).returncode:
            assert kept.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "6cb2f9a1" not in Path(f"/proc/{kept.pid}/cmdline").read_text()
        assert (folder / "redis.conf").stat().st_mode & 0o077 == 0
        words = [line(word) for word in SERVICES["headrace"]["command"]]
        given = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
        url = given["redis"].replace("redis:6379", f"127.0.0.1:{port}")
        settings = ServeConfig(runtime="torch", state="redis", redis_url=url, redis_password_file=given["redis-password-file"])
        service = open_service(own_run, settings)
        event = {"user_id": "c1", "item_id": "p1", "at": "2025-01-01T10:00:00Z", "kind": "view", "event_id": "kept"}
        assert service.receive([Event.model_validate(event)]).stored == 1
        assert service.recommend("c1", "r").page
        service.close()
        assert any((folder / "data").rglob("*.aof")), "written where the volume is"
    finally:
        kept.terminate()
        kept.wait(60)
