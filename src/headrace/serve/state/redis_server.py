"""A connection to Redis that says at once when there is none, and finds it again by itself.

    away      for max(0.25 s, 5 times what the failed try took) whoever asks is refused at once; then it is tried again

So one that hangs costs a wait now and then, and one that was killed next to none. The password stands in the environment or in a
file, not in the plan, which is copied and shown.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from headrace.contracts.errors import ConfigError, HeadraceError
from headrace.contracts.serving import ServeConfig
from headrace.encode.optional import optional

PASSWORD = "HEADRACE_REDIS_PASSWORD"
REST_S = 0.25
_WAIT_S, _REST = 2.0, 5
_FOR_NOW = ("MISCONF", "OOM", "READONLY", "NOREPLICAS", "NOPERM", "BUSY")
_TRIED = """
redis.call("SMISMEMBER", KEYS[1], "")
redis.call("DEL", KEYS[1])
"""
log = logging.getLogger(__name__)
Found = TypeVar("Found")


class Unavailable(HeadraceError):
    """What was asked of Redis is not known to be done; sent again, it is not done twice."""


class RedisServer:
    """settings: of [serve]. ConfigError: there is no Redis to start with, or one that would throw away what it holds."""

    def __init__(self, settings: ServeConfig):
        self._redis: Any = optional("redis", package="redis", extra="redis", purpose='[serve] state = "redis"')
        url = urlsplit(settings.redis_url)
        if url.password or "password" in parse_qs(url.query, keep_blank_values=True):
            says = f"holds a password. Take it out and put it into the environment as {PASSWORD}, or into redis_password_file."
            raise ConfigError(f"[serve] redis_url {says}")
        retry = self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0)
        self.client: Any = self._redis.Redis.from_url(
            settings.redis_url, password=_password(settings), retry=retry, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S
        )
        self.rewrite_due, self._heard_s = False, time.monotonic()
        self._rests_until, self._away, self._changing = 0.0, False, threading.Lock()
        try:
            self.ask(lambda client: client.ping())
        except Unavailable as error:
            raise ConfigError(f"[serve] redis_url: {error} Start Redis first, with the password that it asks for.") from None
        self._try()
        self._check()

    def ask(self, work: Callable[[Any], Found]) -> Found:
        """Unavailable: it does not answer, or can't do it for now."""
        if time.monotonic() < self._rests_until:
            raise Unavailable("Redis does not answer.")
        started = time.monotonic()
        try:
            found = work(self.client)
        except (self._redis.ConnectionError, self._redis.TimeoutError) as error:
            self._falls(error, _REST * (time.monotonic() - started))
            raise Unavailable(f"Redis does not answer ({error}).") from None
        except self._redis.ResponseError as error:
            if _code(error) not in _FOR_NOW:
                raise
            if _code(error) == "READONLY":  # it was the one that takes writes: whom its name means now is asked anew
                self.client.connection_pool.disconnect(inuse_connections=False)
            raise Unavailable(f"Redis does not take it for now ({error}).") from None
        self._heard_s = time.monotonic()
        if self._away:
            self._away = False
            log.warning("Redis answers again")
        return found

    @property
    def silent_s(self) -> float:
        """How long ago it last answered this process."""
        return time.monotonic() - self._heard_s

    def rewrite(self) -> None:
        """Its append-only file without what was deleted. While it writes one, that one may still hold it: another follows."""
        self.rewrite_due = False
        try:
            self.ask(lambda client: client.bgrewriteaof())
        except (Unavailable, self._redis.ResponseError) as error:
            self.rewrite_due = "no permissions" not in str(error)
            if not self.rewrite_due:
                log.warning("Redis may not be told to write its append-only file anew: it does when that has grown (%s)", error)
            elif "in progress" not in str(error):
                log.warning("Redis did not write its append-only file anew; it is asked again (%s)", error)

    def number_after(self, stream: str, name: str) -> None:
        """What comes into the stream is later than this, also in a Redis that is new and whose clock is behind."""

        def work(client: Any) -> None:
            try:
                client.xdel(stream, client.xadd(stream, {"user": ""}, id=name))
            except self._redis.ResponseError as error:
                if "equal or smaller" not in str(error):
                    raise

        self.ask(work)

    def close(self) -> None:
        self.client.close()

    def _falls(self, error: Exception, rest_s: float) -> None:
        with self._changing:
            self._rests_until = time.monotonic() + max(REST_S, rest_s)
            if not self._away:
                self._away = True
                log.error("Redis does not answer (%s): events are refused, pages read the build's histories alone", error)
        self.client.connection_pool.disconnect(inuse_connections=False)  # what else was open to it is broken too

    def _try(self) -> None:
        """What every server does with it, at the start and not at the first event."""
        try:
            self.ask(lambda client: client.eval(_TRIED, 1, "headrace:tried"))
        except (Unavailable, self._redis.ResponseError) as error:
            needs = "It has to be one that takes writes, no replica, of version 6.2 or later, and its user needs as much as"
            raise ConfigError(f"[serve] redis_url: {error} {needs} +@all -@admin -@dangerous ~headrace:*.") from None

    def _check(self) -> None:
        try:
            found = self.client.config_get("maxmemory*", "appendonly")
        except self._redis.ResponseError:  # it may be forbidden to ask
            return
        said = {_text(key): _text(value) for key, value in found.items()}
        if said.get("maxmemory", "0") != "0" and said.get("maxmemory-policy") != "noeviction":
            policy = said.get("maxmemory-policy")
            raise ConfigError(f'[serve] redis_url: this Redis throws rows away when it is full ("{policy}"). Set noeviction.')
        if said.get("appendonly") == "no":
            log.warning("Redis keeps no append-only file: what came in since its last snapshot is lost when it stops")


def _password(settings: ServeConfig) -> str | None:
    if settings.redis_password_file is None:
        return os.environ.get(PASSWORD)
    path = Path(settings.redis_password_file)
    if not path.is_file():
        raise ConfigError(f"[serve] redis_password_file: {path} is not there. It holds the password alone.")
    return path.read_text().strip()


def _code(error: Any) -> str:
    """The first word that Redis said; of one of several commands behind which of them it was."""
    return getattr(error, "status_code", None) or str(error).rpartition("caused error: ")[2].split(" ", 1)[0]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
