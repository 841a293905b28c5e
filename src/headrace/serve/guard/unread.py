"""A connection whose receiver takes what it asked for: one that does not is hung up on, so that it holds no place in the line.

What is sent waits in the connection's buffer. Above 64 kB uvicorn stops the answer that wants to send more until the receiver has
taken some, however long that is, and that answer stays one of the `waiting`. So when a buffer is full, its receiver has `read_s`
to take 1 kB for each second of it, and so on until there is room.
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

_LEAST_PER_S = 1000


class Unread(H11Protocol):
    read_s = 10.0
    _taken_by: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._be_content()

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_content()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._be_content()
        self._taken_by = self.loop.call_later(self.read_s, self._look, self._waits())

    def _look(self, waited: int) -> None:
        if waited - self._waits() >= _LEAST_PER_S * self.read_s:
            self._look_again()
            return
        log.warning("a client took no answer within %g s", self.read_s)
        self.transport.abort()

    def _waits(self) -> int:
        transport: Any = self.transport
        size: int = transport.get_write_buffer_size()
        return size

    def _be_content(self) -> None:
        if self._taken_by is not None:
            self._taken_by.cancel()
            self._taken_by = None
