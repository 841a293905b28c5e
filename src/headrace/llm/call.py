"""One question to a chat model, from its chats to their answers: what `Chatting.complete_many` does, step by step."""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from headrace.contracts.chat import BudgetReached, Chat, Completion, Message, Sampling, Usage
from headrace.llm.backend import Said
from headrace.llm.questions import question_of
from headrace.llm.remembered import completion_of, key_of, row_of, row_of_first, spent_on
from headrace.llm.structured import NoObject, Wanted

if TYPE_CHECKING:
    from headrace.llm.chat import Chatting

Each = Callable[[int, Completion], None]
_QUOTED_CHARACTERS = 2000


class Call:
    """One complete_many. Chats are known by their keys: equal ones share one."""

    def __init__(self, model: "Chatting", chats: Sequence[Chat], wanted: Wanted | None, sampling: Sampling, each: Each | None):
        self.model, self.chats, self.wanted, self.sampling, self.each = model, chats, wanted, sampling, each
        self.places: dict[bytes, list[int]] = {}
        schema = wanted.text if wanted else None
        for place, chat in enumerate(chats):
            self.places.setdefault(key_of(model.id, chat, schema, sampling), []).append(place)
        self.done: dict[int, Completion] = {}
        self.told: dict[bytes, str] = {}
        self.first: dict[bytes, Completion] = {}  # answers of an earlier run that did not meet the schema
        self.earlier: dict[bytes, Usage] = {}  # what they took then
        self.waiting = deque(self.places)

    def remember(self) -> None:
        if self.model.cache:
            known = dict(self.model.cache.get_many(self.places))
            for key in [key for key, row in known.items() if "told" in row]:
                row = known.pop(key)
                self.first[key], self.told[key], self.earlier[key] = completion_of(row), row["told"], spent_on(row)
            self.waiting = deque(key for key in self.places if key not in known)
            for key, row in known.items():
                answer = completion_of(row)
                for place in self.places[key]:
                    self._give(place, replace(answer, usage=_of_a_copy(answer)))

    def next_part(self) -> dict[bytes, Chat]:
        """As many as are worth giving together and surely fit the budget."""
        part = {key: self.asked(key) for key in islice(self.waiting, self.model.backend.at_once)}
        fit, refusal = self._fitting(part.values())
        if not fit:
            kept = " and are in the cache" if self.model.cache else ""
            done = f"Of {len(self.chats):,} chats {len(self.done):,} were answered{kept}."
            raise BudgetReached(f"{self.model.id}: the budget ends at {refusal}. {done} Raise the limit to go on.")
        return {self.waiting.popleft(): chat for chat in islice(part.values(), fit)}

    def ask(self, part: Mapping[bytes, Chat]) -> None:
        unmet = self._say({key: chat for key, chat in part.items() if key not in self.first}, {})
        unmet |= {key: self.first[key] for key in part if key in self.first}
        again = {key: self._asked_again(key, answer) for key, answer in unmet.items()}
        fit, refusal = self._fitting(again.values())
        for key in list(again)[fit:]:
            del again[key]
            if self.model.budget:
                self.model.budget.cut += 1
            answer = unmet[key]
            self._finish(
                key, replace(answer, reason=f"{answer.reason}; not asked again, the budget ends at {refusal}"), keep=False
            )
        for key, answer in self._say(again, unmet).items():
            self._finish(key, answer)

    def answers(self) -> list[Completion]:
        if missing := len(self.chats) - len(self.done):
            raise RuntimeError(f"{self.model.id} left {missing} of {len(self.chats)} chats without an answer.")
        return [self.done[place] for place in range(len(self.chats))]

    def _say(self, asked: Mapping[bytes, Chat], before: Mapping[bytes, Completion]) -> dict[bytes, Completion]:
        """before: what the same chats were answered first. Returns what does not meet the schema; all else is finished."""
        keys, unmet = list(asked), {}

        def heard(place: int, said: Said) -> None:
            key, usage = keys[place], self.model.call_of(said.prompt_tokens, said.completion_tokens)
            self.model.spend(usage)
            if key in before:
                usage += before[key].usage
            if said.error:
                self._finish(key, Completion(said.text, "failed", None, said.error, usage), keep=False)
            elif self.wanted is None:
                self._finish(key, Completion(said.text, "text", usage=usage))
            else:
                try:
                    self._finish(key, Completion(said.text, "parsed", self.wanted.read(said.text), usage=usage))
                except NoObject as error:
                    self.told[key] = error.told
                    unmet[key] = Completion(said.text, "unparsed", None, str(error), usage)
                    if self.model.cache and key not in before:
                        self.model.cache.put(key, row_of_first(unmet[key], error.told, usage), self._in_words(key))

        if asked:
            self.model.backend.say(list(asked.values()), self.wanted.schema if self.wanted else None, self.sampling, heard)
        return unmet

    def _finish(self, key: bytes, answer: Completion, *, keep: bool = True) -> None:
        counted = Usage(unparsed=answer.status == "unparsed", failed=answer.status == "failed")
        self.model.spend(counted)
        answer = replace(answer, usage=answer.usage + counted)
        if keep and self.model.cache:
            self.model.cache.put(key, row_of(answer, answer.usage + self.earlier.get(key, Usage())), self._in_words(key))
        place, *others = self.places[key]
        self._give(place, answer, spent=True)
        for other in others:
            self._give(other, replace(answer, usage=_of_a_copy(answer)))

    def _give(self, place: int, answer: Completion, *, spent: bool = False) -> None:
        if not spent:
            self.model.spend(answer.usage)
        self.done[place] = answer
        if self.each:
            self.each(place, answer)

    def asked(self, key: bytes) -> Chat:
        """As it is said to the model: with the schema in words, unless the backend forces it."""
        if key in self.first:
            return self._asked_again(key, self.first[key])
        return self._asked(key)

    def _asked(self, key: bytes) -> Chat:
        chat = self.chats[self.places[key][0]]
        if self.wanted is None or self.model.backend.constrains:
            return chat
        first, rest = (chat[0], chat[1:]) if chat and chat[0].role == "system" else (Message("system", ""), chat)
        return [Message("system", f"{first.content}\n\n{self.wanted.instruction}".lstrip()), *rest]

    def _in_words(self, key: bytes) -> bytes:
        return question_of(self.model.id, self._asked(key))

    def _asked_again(self, key: bytes, answer: Completion) -> Chat:
        quoted = answer.text[:_QUOTED_CHARACTERS] or "(nothing)"
        wrong = (
            f"That can't be used: {self.told[key]}. Answer again with one JSON object that meets the schema, and nothing else."
        )
        return [*self._asked(key), Message("assistant", quoted), Message("user", wrong)]

    def _fitting(self, chats: Collection[Chat]) -> tuple[int, str]:
        """How many of them, from the first on, the budget bears at worst; and why not one more."""
        budget, worst = self.model.budget, Usage()
        if budget is None:
            return len(chats), ""
        # A server that is handed the schema may count it as a part of the prompt.
        schema = len(self.wanted.text.encode()) if self.wanted else 0
        for fit, chat in enumerate(chats):
            worst += self.model.call_of(self.model.backend.prompt_tokens(chat) + schema, self.sampling.max_tokens)
            if refusal := budget.refusal(worst):
                return fit, refusal
        return len(chats), ""


def _of_a_copy(answer: Completion) -> Usage:
    """What an answer takes that somebody else's equal chat had asked for."""
    failed = answer.status == "failed"
    return Usage(cached=not failed, unparsed=answer.status == "unparsed", failed=failed)
