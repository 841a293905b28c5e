"""What a server that speaks OpenAI's chat completions said: an answer, or a trouble with its cause.

Nothing is believed of the body: it may be a web page, may break off, may lack usage, may be far longer than was asked for.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any

from headrace.contracts.chat import Chat, Sampling
from headrace.llm.backend import Said

_AGAIN = (408, 409, 425, 429)
_SETTINGS = (401, 403, 404, 405)
_CAUSE_CHARACTERS = 200
_FRAME_TOKENS = 8  # around a message, in any template


@dataclass(eq=False)
class Trouble(Exception):
    """again: another try may help. everywhere: it would meet every chat alike (a wrong key or address). schema: the server
    can't force one. wait_s: as long as the server asks to be left alone."""

    cause: str
    again: bool = True
    everywhere: bool = False
    schema: bool = False
    wait_s: float = 0.0


def most_tokens(chat: Chat) -> int:
    """No token of a byte-level vocabulary is shorter than a byte."""
    return _FRAME_TOKENS + sum(len(message.content.encode(errors="surrogatepass")) + _FRAME_TOKENS for message in chat)


def likely_tokens(text: str) -> int:
    """Where nobody counted: four bytes a token, as in English."""
    return ceil(len(text.encode(errors="surrogatepass")) / 4)


def refused(status: int, headers: Mapping[str, str], body: str, *, forced: bool) -> Trouble:
    """A status other than 200. forced: a schema was sent along as response_format."""
    cause = f"status {status}: {_message(body)}"
    if status in (400, 422) and forced and any(word in body for word in ("response_format", "json_schema", "schema")):
        return Trouble(cause, schema=True)
    if status in _SETTINGS or "insufficient_quota" in body:
        return Trouble(cause, again=False, everywhere=True)
    return Trouble(cause, again=status in _AGAIN or status >= 500, wait_s=_wait_s(headers.get("retry-after", "")))


def answer(body: bytes, chat: Chat, sampling: Sampling) -> Said:
    """Raises Trouble."""
    try:
        read = json.loads(body)
        choice = read["choices"][0]
        message = choice["message"]
        content = message.get("content")
        if not isinstance(content, str | None):
            raise TypeError
    except (ValueError, RecursionError):
        page = body.lstrip()[:1] == b"<"
        cause = (
            "HTML where JSON was expected; should the address end in /v1?" if page else f"JSON that breaks off ({_start(body)})"
        )
        raise Trouble(cause) from None
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Trouble(f"JSON that is no chat completion ({_start(body)})") from None
    said = content or ""
    counted = read.get("usage")
    prompt = _count(counted, "prompt_tokens", sum(likely_tokens(one.content) + _FRAME_TOKENS for one in chat))
    completion = _count(counted, "completion_tokens", likely_tokens(said))
    if content is None or choice.get("finish_reason") == "content_filter":
        why = message.get("refusal") or choice.get("finish_reason") or "no content"
        return Said("", prompt, completion, f"declined ({str(why)[:_CAUSE_CHARACTERS]})")
    if completion > 2 * sampling.max_tokens + 64:  # twice: an estimate may be far off where a token is two bytes
        return Said("", prompt, completion, f"{completion:,} tokens of answer where max_tokens was {sampling.max_tokens:,}")
    return Said(said, prompt, completion)


def _count(counted: Any, name: str, estimate: int) -> int:
    value = counted.get(name) if isinstance(counted, dict) else None
    return value if isinstance(value, int) and value >= 0 else estimate


def _message(body: str) -> str:
    try:
        said = json.loads(body)
        found = said["error"] if isinstance(said, dict) and "error" in said else said
        text = found["message"] if isinstance(found, dict) and "message" in found else found
    except (ValueError, RecursionError):
        text = "a web page" if body.lstrip().startswith("<") else body
    return " ".join(str(text).split())[:_CAUSE_CHARACTERS] or "no message"


def _start(body: bytes) -> str:
    return f"{len(body):,} bytes, beginning {body[:60].decode(errors='replace')!r}"


def _wait_s(retry_after: str) -> float:
    """Seconds, or a date; 0 where it is neither."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
        except ValueError:
            return 0.0
