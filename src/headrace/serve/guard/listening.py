"""The server that listens: it waits for slow senders only so long, and stops in steps that nobody has to notice.

SIGTERM    /readyz says no, requests are still taken for drain_s; then no new ones, those inside are answered, logs flushed
SIGINT     (Ctrl+C) the same without the wait; a second signal of either kind too
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI

from headrace.contracts.serving import ServeConfig
from headrace.serve.guard.door import Door
from headrace.serve.guard.unread import Unread

log = logging.getLogger(__name__)

_CONNECTIONS = 1000
_STOP_S = 30


class Patient(Unread):
    """A connection whose sender has `read_s` for a request's headers, however they trickle. Between requests uvicorn's own
    patience counts (5 s), and for a body `Body`'s."""

    read_s = 10.0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._rest()
        elif self._late is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.read_s, self._give_up)

    def _rest(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            log.warning("a client sent no whole request within %g s", self.read_s)
            self.transport.close()


class Server(uvicorn.Server):
    """door: told of a stop before the listening ends. listening: called once it listens."""

    def __init__(self, config: uvicorn.Config, door: Door, drain_s: float, listening: Callable[[], object] = lambda: None):
        super().__init__(config)
        self.door, self.drain_s, self.listening = door, drain_s, listening
        self._shut_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self.door.state == "open" and self.drain_s:
            self.door.state, self._shut_at = "draining", time.monotonic() + self.drain_s
            self._captured_signals.append(sig)
            return
        self.door.state = "shut"
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self.listening()

    async def on_tick(self, counter: int) -> bool:
        if self._shut_at is not None and time.monotonic() >= self._shut_at:
            self.door.state, self.should_exit = "shut", True
        return await super().on_tick(counter)


def server(app: FastAPI, host: str, port: int, listening: Callable[[], object] = lambda: None) -> Server:
    """Of an app of `create_app`; its `run` returns when a signal has stopped it."""
    serving = app.state.serving
    settings: ServeConfig = serving.settings
    protocol = type("Patient", (Patient,), {"read_s": settings.read_s})
    config = uvicorn.Config(
        app, host=host, port=port, http=protocol, log_config=None, access_log=False, limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_STOP_S, server_header=False,
    )  # fmt: skip
    return Server(config, serving.door, settings.drain_s, listening)
