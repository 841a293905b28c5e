"""Many questions of one kind, and how many answers could be used. An answer that can't is counted, never read charitably.

    answers, tally = asked(model, chats, schema, read)     None for each that was not used; tally.rate is their share

`read` turns a parsed answer into what is wanted and raises Unusable where its parts don't fit each other, which a JSON schema
can't say (a key named twice, a turn that isn't there).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from headrace.contracts.chat import Chat, ChatModel, Sampling, Schema

T = TypeVar("T")
_KEPT = 5


class Unusable(Exception):
    """Why an answer that met its schema says nothing."""


@dataclass(frozen=True)
class Tally:
    """asked: questions. unparsed: answers that could not be used. failed: questions without an answer. reasons: some of why."""

    asked: int = 0
    unparsed: int = 0
    failed: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        return (self.unparsed + self.failed) / self.asked if self.asked else 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.asked + other.asked, self.unparsed + other.unparsed, self.failed + other.failed,
            (*self.reasons, *other.reasons)[:_KEPT],
        )  # fmt: skip


def asked(
    model: ChatModel, chats: Sequence[Chat], schema: Schema, read: Callable[[int, Mapping[str, Any]], T], sampling: Sampling
) -> tuple[list[T | None], Tally]:
    """read(place of the chat, its answer)."""
    answers: list[T | None] = []
    unparsed = failed = 0
    reasons = []
    for place, said in enumerate(model.complete_many(chats, schema, sampling=sampling)):
        answer = None
        if said.status == "parsed" and said.parsed is not None:
            try:
                answer = read(place, said.parsed)
            except Unusable as reason:
                unparsed += 1
                reasons.append(str(reason))
        else:
            failed += said.status == "failed"
            unparsed += said.status != "failed"
            reasons.append(said.reason or said.status)
        answers.append(answer)
    return answers, Tally(len(chats), unparsed, failed, tuple(reasons[:_KEPT]))
