"""What is said to a language model and what comes back: one protocol for a local file and a hosted server.

    model.complete_many([[Message("user", "Is tea hot?")]], schema)  ->  [Completion(text, parsed, status, ...)]

An answer that does not meet its schema is asked for once more, then marked unparsed: nobody guesses what it may have meant. What
a model can't do (give log-probabilities, say) raises Unsupported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from headrace.contracts.errors import HeadraceError
from headrace.contracts.requests import Float64, Int64

Role = Literal["system", "user", "assistant"]
Schema = Mapping[str, Any]
"""A JSON schema of an object."""


class Unsupported(HeadraceError):
    """This model can't do what was asked of it; the message says what could."""


class BudgetReached(HeadraceError):
    """The next call might cost more than is left. What was answered until then is kept."""


@dataclass(frozen=True)
class Message:
    role: Role
    content: str


Chat = Sequence[Message]


@dataclass(frozen=True)
class Usage:
    """calls: that reached the model. cached: answers that needed none. unparsed, failed: of all answers. cost: in the currency of
    the prices that were given, 0 without."""

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unparsed: int = 0
    failed: int = 0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


Status = Literal["text", "parsed", "unparsed", "failed"]


@dataclass(frozen=True)
class Completion:
    """text: as it was said. parsed: the object, valid by the schema, with status "parsed" alone. reason: why it is none.

    failed: the model did not answer (a server that is down, an answer that was refused), after all tries.
    """

    text: str
    status: Status
    parsed: Mapping[str, Any] | None = None
    reason: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Scored:
    """Of each continuation of one chat: log_prob [n], summed over its tokens [n], given the chat."""

    log_prob: Float64
    tokens: Int64


@dataclass(frozen=True)
class Sampling:
    """temperature: 0 takes the likeliest token. seed: of the draws, where there are any."""

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0


@runtime_checkable
class ChatModel(Protocol):
    """Batched. id: changes when answers would (file, quantisation, adapter, endpoint and name). usage: since it was made.

    each: called with (place in `chats`, its completion) as soon as it is there, from one thread at a time, in any order.
    """

    @property
    def id(self) -> str: ...
    @property
    def usage(self) -> Usage: ...
    def complete_many(
        self, chats: Sequence[Chat], schema: Schema | None = None, *, sampling: Sampling = Sampling(),
        each: Callable[[int, Completion], None] | None = None,
    ) -> list[Completion]: ...  # fmt: skip
    def score(self, chats: Sequence[Chat], continuations: Sequence[Sequence[str]]) -> list[Scored]: ...
