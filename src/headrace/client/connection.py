"""How a call goes over HTTP: key, request id, time limit, and when it is sent again.

A call is sent again where doing it twice is doing it once: it reads, puts a whole thing or deletes it; events go again if each
has an event_id, which the server knows when it comes a second time. What is answered 408, 429 or 503 waits as long as the
server says, or 0.1 s, 0.2 s, 0.4 s, ... drawn between half and the whole, so that many clients do not come back at once. All
attempts of a call together take at most `patience_s`.
"""

import random
import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import cache
from typing import Any, Self, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from headrace.client.failures import NOT_NOW, Failure, Unreachable, failure
from headrace.contracts.errors import MissingExtra

try:
    import httpx
except ImportError:
    raise MissingExtra("httpx", "client", "The client") from None

T = TypeVar("T")
_FIRST_WAIT_S = 0.1


class Connection:
    """key: an API key, if the server asks for one. timeout_s: of one attempt. http: to use instead of a new `httpx.Client`, with
    its proxies and certificates; it is its owner's to close."""

    def __init__(
        self, url: str, key: str | None = None, *, timeout_s: float = 10.0, attempts: int = 4, patience_s: float = 30.0,
        http: Any = None, wait: Callable[[float], None] = time.sleep,
    ):  # fmt: skip
        self._url, self._headers = url.rstrip("/"), {} if key is None else {"Authorization": f"Bearer {key}"}
        self._timeout_s, self._attempts, self._patience_s, self._wait = timeout_s, attempts, patience_s, wait
        self._http, self._mine = http or httpx.Client(), http is None

    def close(self) -> None:
        if self._mine:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(
        self, method: str, path: str, kind: type[T], *, body: Any = None, query: Mapping[str, Any] | None = None,
        again: bool = False, also: Collection[int] = (),
    ) -> T:  # fmt: skip
        """kind: of the answer; of str, its text. again: it may be sent again. also: statuses besides 2xx that answer so."""
        answer = self._answer(method, path, body, given(query or {}), again, also)
        if kind is str:
            return cast(T, answer.text)
        try:
            return cast(T, _reader(cast(Any, kind)).validate_json(answer.content))
        except ValidationError as error:
            said, where = error.errors()[0], f"{method} {path}"
            place = ".".join(map(str, said["loc"])) or "body"
            says = f"of the answer to {where} is not as expected: {said['msg']}. Is the server of another version?"
            raise failure(answer.status_code, place, says, _id(answer)) from None

    def _answer(self, method: str, path: str, body: Any, query: Any, again: bool, also: Collection[int]) -> Any:
        headers = {**self._headers, "X-Request-ID": uuid4().hex}
        content = None if body is None else to_json(body, exclude_none=True)
        if content is not None:
            headers["Content-Type"] = "application/json"
        ends = time.monotonic() + self._patience_s
        for attempt in range(1, self._attempts + 1):
            left_s = ends - time.monotonic()
            failed: Failure | Unreachable
            try:
                answer = self._http.request(
                    method, self._url + path, content=content, params=query, headers=headers,
                    timeout=max(min(self._timeout_s, left_s), 0.001),
                )  # fmt: skip
            except Exception as error:
                if not _of_the_network(error):
                    raise
                failed = Unreachable(f"{type(error).__name__} {error}".strip(), headers["X-Request-ID"])
                wait_s = _backoff(attempt)
            else:
                if answer.is_success or answer.status_code in also:
                    return answer
                failed = _failed(answer)
                if failed.status not in NOT_NOW:
                    raise failed
                wait_s = _backoff(attempt) if failed.retry_after_s is None else failed.retry_after_s
            if not again or attempt == self._attempts or time.monotonic() + wait_s > ends:
                raise failed
            self._wait(wait_s)
        raise AssertionError("the last attempt returns or raises")


def given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were: None is not sent, so that the server's default holds."""
    return {name: value for name, value in arguments.items() if value is not None}


def part(name: str) -> str:
    """An id as one part of a path. A part that is dots alone would lead elsewhere."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def all_have(name: str, sent: Any) -> bool:
    """Of one or several, objects or mappings."""
    several: Sequence[Any] = sent if isinstance(sent, Sequence) else [sent]
    return all((one.get(name) if isinstance(one, Mapping) else getattr(one, name)) is not None for one in several)


@cache
def _reader(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(Any, kind))


def _failed(answer: Any) -> Failure:
    """Also of what is no answer of ours: a proxy's page."""
    try:
        error = from_json(answer.content)["error"]
        field, says = str(error["field"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        field, says = "server", f"answered {answer.reason_phrase!r}, and not in the form of its errors."
    after = answer.headers.get("Retry-After", "")
    return failure(answer.status_code, field, says, _id(answer), float(after) if after.isdecimal() else None)


def _id(answer: Any) -> str:
    return str(answer.headers.get("X-Request-ID") or answer.request.headers["X-Request-ID"])


def _backoff(attempt: int) -> float:
    return _FIRST_WAIT_S * float(2 ** (attempt - 1)) * random.uniform(0.5, 1.0)


def _of_the_network(error: Exception) -> bool:
    """By name: a client that was given may be of another release of the library, whose classes are others."""
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)
