"""A GGUF file run by llama.cpp in this process: arithmetic on a few bits, chats side by side, answers held to a schema.

    with LlamaCpp(smollm()) as model:
        model.say(chats, schema, Sampling(max_tokens=64), each)
    with served(smollm()) as base_url:        # the same as an OpenAI-compatible server, for whatever speaks that

`parallel` chats are in work at a time and share each step's pass over the weights; one that ends makes room for the next. What
all chats of a call begin with is read once (`llamacpp_slots`), and they go in order, so that more of it is found in a slot.
llama.cpp listens on a free port of 127.0.0.1 while the model is open. It gives no log-probabilities of continuations: `local`
reads the same file and does. Control tokens in messages are broken (`control_tokens`), though not what comes from outside to the
server of `served`. With one thread by default and no spinning: threads that wait for each other on a busy machine made it a
hundred times slower.
Use it where an answer has to meet a schema, or the weights don't fit otherwise: they stay at their few bits. For scores, `local`.
Greedy answers may differ by a rounding with the chats beside them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.request import ProxyHandler, Request, build_opener

from annotated_types import Ge, Gt

from headrace.contracts.chat import Chat, Sampling, Schema, Scored, Unsupported
from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.encode.optional import optional
from headrace.llm.backend import Said
from headrace.llm.control_tokens import breaking
from headrace.llm.gguf_file import open_gguf
from headrace.llm.llamacpp_slots import Slots


@config
class LlamaCppConfig:
    """parallel: chats in work at a time.

    context: tokens of one chat, its answer included. threads: of one step. gpu_layers: of the model's layers, from the last,
    that a GPU holds, where llama.cpp was built for one.
    """

    parallel: Annotated[int, Gt(0)] = 4
    context: Annotated[int, Gt(0)] = 2048
    threads: Annotated[int, Gt(0)] = 1
    gpu_layers: Annotated[int, Ge(0)] = 0


class LlamaCpp:
    """path: a GGUF file, or a folder with exactly one. DataError where it is cut short, damaged or of an unknown kind."""

    constrains = True

    def __init__(self, path: str | Path, settings: LlamaCppConfig | None = None):
        of = settings or LlamaCppConfig()
        library = optional("xllamacpp", package="xllamacpp", extra="llm", purpose="Running a GGUF file with llama.cpp")
        file = open_gguf(Path(path))
        if file.context and of.context > file.context:
            raise DataError(f"{file.path}: made for {file.context:,} tokens of context, not {of.context:,}. Lower `context`.")
        self.id = f"llamacpp/{file.name}/{file.quantisation}/{file.digest[:16]}"
        self._broken = breaking(file.control)
        self.at_once = 8 * of.parallel
        self.parallel = of.parallel
        self._slots = Slots(of.parallel, of.context)
        self._server = _started(library, file.path, of, self._slots.folder)
        self._open = build_opener(ProxyHandler({}))  # a proxy of the environment's has no business on this machine
        self._asked("/slots", None)  # its loop runs now: a server that is closed before it does never returns

    @property
    def base_url(self) -> str:
        """Of the OpenAI-compatible endpoint: base_url/chat/completions."""
        return f"{self._address}/v1"

    @property
    def _address(self) -> str:
        return str(self._running.listening_address)

    @property
    def _running(self) -> Any:
        if self._server is None:
            raise DataError(f"{self.id} is closed. Open it again.")
        return self._server

    def close(self) -> None:
        self._server = None  # its memory and its port are given back with it
        self._slots.close()

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prompt_tokens(self, chat: Chat) -> int:
        return len(self._tokens(chat))

    def say(self, chats: Sequence[Chat], schema: Schema | None, sampling: Sampling, each: Callable[[int, Said], None]) -> None:
        order = sorted(range(len(chats)), key=lambda place: [(message.role, message.content) for message in chats[place]])
        if len(order) > 1 < self.parallel:
            first, last = (self._tokens(chats[order[place]]) for place in (0, -1))
            self._slots.begin(self._asked, first, last, chats=len(order))
        pool = ThreadPoolExecutor(self.parallel, thread_name_prefix="llamacpp")
        try:
            waiting = {pool.submit(self._ask, chats[place], schema, sampling): place for place in order}
            for done in as_completed(waiting):
                each(waiting[done], done.result())
        finally:
            pool.shutdown(cancel_futures=True)

    def score(self, chats: Sequence[Chat], continuations: Sequence[Sequence[str]]) -> list[Scored]:
        raise Unsupported(f"{self.id} gives no log-probabilities of continuations. Read its file with headrace.llm.local.")

    def _ask(self, chat: Chat, schema: Schema | None, sampling: Sampling) -> Said:
        asked: dict[str, Any] = {"messages": self._turns(chat), "max_tokens": sampling.max_tokens, "cache_prompt": True}
        asked |= {"temperature": sampling.temperature, "seed": _seed(chat, sampling), "top_k": 0, "top_p": 1.0, "min_p": 0.0}
        if schema is not None:
            form = {"name": "answer", "strict": True, "schema": schema}
            asked["response_format"] = {"type": "json_schema", "json_schema": form}
        try:
            answer = self._running.handle_chat_completions(asked)
        except ValueError as error:  # a schema that its grammar has no words for
            return Said("", error=f"llama.cpp: {error}")
        return _said(answer)

    def _tokens(self, chat: Chat) -> list[int]:
        text = self._asked("/apply-template", {"messages": self._turns(chat)})["prompt"]
        found: list[int] = self._asked("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]
        return found

    def _turns(self, chat: Chat) -> list[dict[str, str]]:
        return [{"role": message.role, "content": self._broken(message.content)} for message in chat]

    def _asked(self, path: str, body: Mapping[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = Request(self._address + path, data, {"Content-Type": "application/json"})
        with self._open.open(asked, timeout=60) as answer:
            return json.load(answer)


@contextmanager
def served(path: str | Path, settings: LlamaCppConfig | None = None) -> Iterator[str]:
    """The base_url of a server that answers as OpenAI's do, for as long as the block lasts."""
    with LlamaCpp(path, settings) as model:
        yield model.base_url


def _started(library: Any, path: Path, of: LlamaCppConfig, slots: Path) -> Any:
    asked = library.CommonParams()
    asked.model.path = str(path)
    asked.n_parallel, asked.n_ctx, asked.n_gpu_layers = of.parallel, of.parallel * of.context, of.gpu_layers
    for cpu in (asked.cpuparams, asked.cpuparams_batch):
        cpu.n_threads, cpu.poll = of.threads, 0
    asked.slot_save_path, asked.cache_ram_mib = f"{slots}/", 0  # else it keeps up to 8 GiB of what was read before
    asked.verbosity, asked.warmup, asked.fit_params, asked.ui = -1, False, False, False
    try:
        return library.Server(asked)
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{path}: llama.cpp can't run it: {error}. Its kind of model may be newer than this llama.cpp.") from None


def _seed(chat: Chat, sampling: Sampling) -> int:
    """Of this chat's own draws, whatever slot it comes to."""
    said = repr([sampling.seed, *((message.role, message.content) for message in chat)])
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:4], "big") >> 1


def _said(answer: Mapping[str, Any]) -> Said:
    if "error" in answer:
        error = answer["error"]
        told = "Shorten the chat, or raise `context`." if error.get("type") == "exceed_context_size_error" else ""
        return Said("", int(error.get("n_prompt_tokens", 0)), error=f"llama.cpp: {error['message']}. {told}".rstrip())
    usage = answer["usage"]
    return Said(answer["choices"][0]["message"]["content"] or "", usage["prompt_tokens"], usage["completion_tokens"])
