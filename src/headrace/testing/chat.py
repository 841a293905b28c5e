"""A chat model that says what a test wrote, and what every chat model promises."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import get_ident
from typing import Any

import numpy as np

from headrace.contracts.chat import Chat, ChatModel, Completion, Message, Sampling, Schema, Scored, Unsupported, Usage
from headrace.llm.backend import Said
from headrace.llm.structured import NoObject, Wanted
from headrace.testing.expect import expect, expect_close, expect_equal

Answer = str | Said
Script = Mapping[str, Answer] | Sequence[Answer] | Callable[[Chat], Answer]


class Scripted:
    """A backend for unit tests. script: pattern -> answer, the first that is found in the chat; or answers in the order of the
    asking; or a function of the chat. A word is a token; what is longer than max_tokens breaks off.

    log_prob: of a continuation after a chat; without it nothing is scored. heard: every chat it was asked, in order.
    """

    def __init__(
        self, script: Script, *, name: str = "scripted", at_once: int = 4, constrains: bool = False,
        log_prob: Callable[[Chat, str], float] | None = None,
    ):  # fmt: skip
        self.id, self.at_once, self.constrains, self.heard = name, at_once, constrains, list[Chat]()
        self._log_prob, self._answer = log_prob, _answering(script)

    def say(self, chats: Sequence[Chat], schema: Schema | None, sampling: Sampling, each: Callable[[int, Said], None]) -> None:
        for place, chat in enumerate(chats):
            self.heard.append(chat)
            answer = self._answer(chat)
            if isinstance(answer, str):
                words = answer.split(" ")[: sampling.max_tokens]
                answer = Said(" ".join(words), self.prompt_tokens(chat), len(words))
            each(place, answer)

    def prompt_tokens(self, chat: Chat) -> int:
        return sum(len(message.content.split(" ")) for message in chat)

    def score(self, chats: Sequence[Chat], continuations: Sequence[Sequence[str]]) -> list[Scored]:
        if self._log_prob is None:
            raise Unsupported(f"{self.id} was given no log_prob: Scripted(..., log_prob=...) scores.")
        return [
            Scored(
                np.array([self._log_prob(chat, one) for one in said], np.float64),
                np.array([len(one.split(" ")) for one in said], np.int64),
            )
            for chat, said in zip(chats, continuations, strict=True)
        ]


def _answering(script: Script) -> Callable[[Chat], Answer]:
    if callable(script):
        return script
    if isinstance(script, Mapping):
        return lambda chat: _first_rule(script, "\n".join(message.content for message in chat))
    left: Iterator[Answer] = iter(script)
    return lambda chat: _next(left, chat)


def _first_rule(rules: Mapping[str, Answer], said: str) -> Answer:
    for pattern, answer in rules.items():
        if re.search(pattern, said):
            return answer
    raise AssertionError(f"No rule is found in {said!r}. Rules: {list(rules)}.")


def _next(left: Iterator[Answer], chat: Chat) -> Answer:
    for answer in left:
        return answer
    raise AssertionError(f"The script has ended, and {chat!r} was asked.")


ASKED = tuple(
    [Message("system", "You answer in a few words."), Message("user", f"Is {what} hot?")] for what in ("tea", "ice", "sand")
)
HOT: dict[str, Any] = {
    "type": "object",
    "properties": {"hot": {"type": "boolean"}},
    "required": ["hot"],
    "additionalProperties": False,
}
SHORT = Sampling(max_tokens=16)


def check_chat_model(
    model: ChatModel, chats: Sequence[Chat] = ASKED, schema: Schema = HOT, *, sampling: Sampling = SHORT
) -> None:
    """chats: three or more that differ. At temperature 0 every chat is asked two times with the schema and two without."""
    expect(isinstance(model, ChatModel), f"{type(model).__name__} lacks id, usage, complete_many or score.")
    expect(isinstance(model.id, str) and model.id, f"id is {model.id!r}: expected a name.")
    expect(_complete(model, [], None, sampling) == [], "No chats were asked, and there are answers.")
    for wanted in (None, schema):
        alone = [_complete(model, [chat], wanted, sampling)[0] for chat in chats]
        together = _complete(model, [*reversed(chats), chats[0]], wanted, sampling)
        for place, (one, other) in enumerate(zip(alone, [*together[-2::-1]], strict=True)):
            same = (one.text, one.status, one.parsed) == (other.text, other.status, other.parsed)
            expect(same, f"Chat {place} alone is answered {one!r}, among others {other!r}.")
        expect(together[-1].text == together[-2].text, "Two equal chats of one call have two answers.")
    _check_scores(model, chats)


def _complete(model: ChatModel, chats: Sequence[Chat], schema: Schema | None, sampling: Sampling) -> list[Completion]:
    before, heard, threads = model.usage, dict[int, Completion](), set[int]()

    def each(place: int, answer: Completion) -> None:
        expect(place not in heard, f"each was called twice for chat {place}.")
        heard[place] = answer
        threads.add(get_ident())

    answers = model.complete_many(chats, schema, sampling=sampling, each=each)
    expect(len(answers) == len(chats), f"{len(chats)} chats have {len(answers)} answers.")
    expect([heard.get(place) for place in range(len(chats))] == answers, "each was told other answers than were returned.")
    spent = sum((answer.usage for answer in answers), before)
    for name in Usage.__dataclass_fields__:
        expect_close(getattr(model.usage, name), getattr(spent, name), f"usage.{name} is not the sum of the answers'")
    for answer in answers:
        _check_answer(answer, schema)
    return answers


def _check_answer(answer: Completion, schema: Schema | None) -> None:
    allowed = ("text", "failed") if schema is None else ("parsed", "unparsed", "failed")
    expect(answer.status in allowed, f"status is {answer.status!r}: expected one of {allowed}.")
    expect((answer.parsed is not None) == (answer.status == "parsed"), f"parsed and status disagree: {answer!r}.")
    expect(bool(answer.reason) == (answer.status in ("unparsed", "failed")), f"reason and status disagree: {answer!r}.")
    counted = (answer.usage.unparsed, answer.usage.failed)
    expect(counted == (answer.status == "unparsed", answer.status == "failed"), f"usage and status disagree: {answer!r}.")
    expect(answer.usage.calls or answer.usage.cached or answer.status == "failed", f"Neither asked nor cached: {answer!r}.")
    if schema is not None and answer.parsed is not None:
        try:
            read: object = Wanted(schema).read(answer.text)
        except NoObject as error:
            read = str(error)
        expect(read == answer.parsed, f"The text says {read!r}, parsed is {answer.parsed!r}.")


def _check_scores(model: ChatModel, chats: Sequence[Chat]) -> None:
    said = [["Yes.", "No, it is not."]] * len(chats)
    try:
        together = model.score(chats, said)
    except Unsupported as error:
        expect(str(error), "Unsupported says nothing: expected what could score.")
        return
    expect(len(together) == len(chats), f"{len(chats)} chats have {len(together)} scores.")
    for place, one in enumerate(together):
        expect_equal([one.log_prob.shape, one.tokens.shape], [(2,), (2,)], f"Scores of chat {place}")
        expect(
            (np.isfinite(one.log_prob) & (one.log_prob <= 0)).all(),
            f"Log-probabilities are {one.log_prob}: expected finite, <= 0.",
        )
        expect((one.tokens >= 1).all(), f"Continuations have {one.tokens} tokens: expected one or more.")
        alone = model.score([chats[place]], [said[place]])[0]
        # One row and several are summed in another order.
        expect_close(alone.log_prob, one.log_prob, f"Chat {place} alone and among others", relative=1e-3, absolute=1e-3)
