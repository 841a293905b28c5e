"""A real redis-server on a unix socket, killed and started again at will."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

PROGRAM = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed")
pytest.importorskip("redis")


class RedisProcess:
    """folder: a short path, for a socket's name has little room."""

    def __init__(self, folder: Path, *more: str):
        self.folder, self.more = folder, more
        self.url = f"unix://{folder}/redis.sock"
        self.start()

    def start(self) -> None:
        lies = ["--port", "0", "--unixsocket", f"{self.folder}/redis.sock", "--dir", str(self.folder)]
        # the system has each write before it is acknowledged; it is the process that is killed here, so no disk is waited for
        keeps = ["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--logfile", f"{self.folder}/log"]
        command = [str(PROGRAM), *lies, *keeps, *self.more]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asking:
            try:
                asking.connect(f"{self.folder}/redis.sock")
                asking.sendall(b"PING\r\n")
                return asking.recv(100).startswith((b"+PONG", b"-NOAUTH"))
            except OSError:
                return False

    def stop(self) -> None:
        """With whatever it does in the background."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(60)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)
