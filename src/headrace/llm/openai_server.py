"""Any server that speaks OpenAI's chat completions: hosted, or llama.cpp, vLLM or Ollama at home.

    OpenAIServer(ServerConfig(base_url="http://localhost:8080/v1", model="qwen"))  behind  Chatting(...)

`concurrency` threads take one chat after another, so a million chats are never more than so many requests. Each chat has `tries`:
between them the pauses grow, and where the server says Retry-After it is left alone by all threads. What stays without an answer
is failed, with host and cause; what would meet every chat alike (a wrong key, address or model, `failures_in_a_row`) stops the
call with ServerRefuses. A schema is sent as response_format until the server refuses that, and always told in words. A key is
read from the environment and stands in no message. Tries that a server cut off without saying what they used aren't counted.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Gt

from headrace.contracts.chat import Chat, Sampling, Schema, Scored, Unsupported
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, HeadraceError
from headrace.encode.optional import optional
from headrace.llm.backend import Said
from headrace.llm.openai_reading import Trouble, answer, likely_tokens, most_tokens, refused
from headrace.llm.pace import Pace, backoff
from headrace.llm.window import Window

_PARTS = 8  # a part waits for its slowest chat: long enough that this is rare


class ServerRefuses(HeadraceError):
    """No chat would be answered. What was until then is kept."""


@config
class ServerConfig:
    """api_key_env: the name of the environment variable that holds the key; "" sends none. timeout_s: of a whole answer.

    longest_pause_s: a server that asks to be left alone for longer is given up. length_parameter: how it calls max_tokens.
    """

    base_url: str
    model: str
    api_key_env: str = ""
    concurrency: Annotated[int, Gt(0)] = 8
    requests_per_minute: Annotated[float, Gt(0)] | None = None
    tokens_per_minute: Annotated[float, Gt(0)] | None = None
    timeout_s: Annotated[float, Gt(0)] = 60.0
    tries: Annotated[int, Gt(0)] = 5
    first_pause_s: Annotated[float, Gt(0)] = 0.5
    longest_pause_s: Annotated[float, Gt(0)] = 60.0
    failures_in_a_row: Annotated[int, Gt(0)] = 20
    max_answer_bytes: Annotated[int, Gt(0)] = 4_000_000
    json_schema: bool = True
    length_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


class OpenAIServer:
    constrains = False

    def __init__(self, config: ServerConfig):
        parts = urlsplit(config.base_url)
        if parts.username or parts.password:
            raise ConfigError(f"base_url holds a name or password for {parts.hostname}. Put it into a variable: see api_key_env.")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f'base_url is "{config.base_url}", expected an address such as "http://localhost:8080/v1".')
        if config.api_key_env and not os.environ.get(config.api_key_env):
            raise ConfigError(
                f"The environment variable {config.api_key_env} is not set. Put the key for {parts.hostname} into it."
            )
        self.config = config
        self.host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
        self.id = f"openai:{self.host}{parts.path.rstrip('/')}:{config.model}" + ("" if config.json_schema else ":plain")
        self.at_once = config.concurrency * _PARTS
        self._key = os.environ.get(config.api_key_env, "") if config.api_key_env else ""
        self._forces, self._pace = config.json_schema, Pace(config.requests_per_minute, config.tokens_per_minute)
        self._openai: Any = optional("openai", package="openai", extra="llm", purpose="A server that speaks OpenAI's protocol")
        self._client = self._openai.OpenAI(
            base_url=config.base_url, api_key=self._key or "none", max_retries=0, timeout=config.timeout_s
        )  # fmt: skip

    def close(self) -> None:
        self._client.close()

    def prompt_tokens(self, chat: Chat) -> int:
        """At most: the server's tokenizer is not at hand."""
        return most_tokens(chat)

    def say(self, chats: Sequence[Chat], schema: Schema | None, sampling: Sampling, each: Callable[[int, Said], None]) -> None:
        in_a_row = 0

        def heard(place: int, said: tuple[Said, bool]) -> None:
            nonlocal in_a_row
            each(place, said[0])
            in_a_row = in_a_row + 1 if said[1] else 0
            if in_a_row >= self.config.failures_in_a_row:
                raise ServerRefuses(f"{said[0].error}. That were {in_a_row} chats in a row: see to the server, then ask again.")

        window = Window(self.config.concurrency)
        window.run(chats, lambda chat: self._answered(chat, schema, sampling, window.sleep), heard)

    def score(self, chats: Sequence[Chat], continuations: Sequence[Sequence[str]]) -> list[Scored]:
        raise Unsupported(
            f"{self.id}: chat completions give no log-probabilities of texts that others wrote. A model in a local file does."
        )

    def _answered(
        self, chat: Chat, schema: Schema | None, sampling: Sampling, sleep: Callable[[float], None]
    ) -> tuple[Said, bool]:
        """What was said; and, where nothing was, whether the server rather than the chat is to blame."""
        failed = 0
        while True:
            sleep(self._pace.turn(sum(likely_tokens(one.content) for one in chat) + sampling.max_tokens))
            forced = schema if self._forces else None
            try:
                said = self._asked(chat, forced, sampling)
                return (replace(said, error=f"{self.host}: {said.error}") if said.error else said), False
            except Trouble as trouble:
                cause = f"{self.host}: {trouble.cause}"
                if self._key:
                    cause = cause.replace(self._key, "[key]")  # some servers repeat it
                if trouble.everywhere:
                    raise ServerRefuses(
                        f"{cause}. See to address, model and key ({self.config.api_key_env or 'none'})."
                    ) from None
                if trouble.schema:
                    self._forces = False
                    continue
                failed += 1
                if trouble.wait_s > self.config.longest_pause_s:
                    return Said("", error=f"{cause} (asks for a pause of {trouble.wait_s:,.0f} s)"), True
                if not trouble.again or failed >= self.config.tries:
                    return Said("", error=f"{cause} ({failed} {'try' if failed == 1 else 'tries'})"), trouble.again
                self._pace.hold(trouble.wait_s)
                sleep(max(trouble.wait_s, backoff(failed, self.config.first_pause_s, self.config.longest_pause_s)))

    def _asked(self, chat: Chat, schema: Schema | None, sampling: Sampling) -> Said:
        """One try. Raises Trouble."""
        asked: dict[str, Any] = {
            "model": self.config.model,
            "messages": [{"role": message.role, "content": message.content} for message in chat],
            "temperature": sampling.temperature,
            "seed": sampling.seed,
            self.config.length_parameter: sampling.max_tokens,
        }
        if schema is not None:
            asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}
        try:
            # beside the named arguments, which are walked and checked for a fifth of a request's time
            with self._client.chat.completions.with_streaming_response.create(
                model=self.config.model, messages=[], extra_body=asked
            ) as response:
                return answer(self._body(response), chat, sampling)
        except self._openai.APIStatusError as error:
            raise refused(error.status_code, error.response.headers, error.response.text, forced=schema is not None) from None
        except self._openai.APITimeoutError:
            raise Trouble(f"no answer within {self.config.timeout_s:g} s") from None
        except self._openai.APIConnectionError as error:
            raise Trouble(f"can't be reached ({error.__cause__ or error})") from None
        except UnicodeEncodeError:
            raise Trouble("the chat holds half a character (a lone surrogate), which can't be sent", again=False) from None

    def _body(self, response: Any) -> bytes:
        body, deadline = bytearray(), time.monotonic() + self.config.timeout_s
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > self.config.max_answer_bytes:
                    raise Trouble(f"an answer of more than {self.config.max_answer_bytes:,} bytes", again=False)
                if time.monotonic() > deadline:
                    raise Trouble(f"no whole answer within {self.config.timeout_s:g} s")
        except Trouble:
            raise
        except Exception as error:  # the client passes on its transport's own errors while a body is read
            if "timeout" in type(error).__name__.lower():
                raise Trouble(f"no whole answer within {self.config.timeout_s:g} s") from None
            raise Trouble(f"the answer broke off ({error})") from None
        return bytes(body)
