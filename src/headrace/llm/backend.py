"""What a kind of language model has to offer: say something to each chat, and, where it can, score continuations.

`Chatting` (chat.py) puts validation, the one retry, the cache, prices and the budget around it, so a backend has none of these.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.contracts.chat import Chat, Sampling, Schema, Scored


@dataclass(frozen=True)
class Said:
    """error: why there is no text, after the backend's own tries; "" where there is one. Tokens as the model counts them."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""


class Backend(Protocol):
    """constrains: a schema is forced on the text while it is written, so that only its end may be missing.

    at_once: how many chats are worth giving together; more are cut into such parts, so that what is finished is kept in between.
    """

    @property
    def id(self) -> str: ...
    @property
    def constrains(self) -> bool: ...
    @property
    def at_once(self) -> int: ...
    def say(self, chats: Sequence[Chat], schema: Schema | None, sampling: Sampling, each: Callable[[int, Said], None]) -> None:
        """Calls each(place, said) once for every chat, from one thread at a time, in any order."""
        ...

    def prompt_tokens(self, chat: Chat) -> int:
        """How long a chat is, exact where the tokenizer is at hand, else estimated from its characters."""
        ...

    def score(self, chats: Sequence[Chat], continuations: Sequence[Sequence[str]]) -> list[Scored]:
        """Raises Unsupported where no log-probabilities are to be had."""
        ...
