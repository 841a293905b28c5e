"""A chat as the model's own template writes it, in tokens, and which of them the assistant says.

    said = Template(tokenizer).spoken([Message("user", "Is tea hot?"), Message("assistant", "Yes.")])
    said.ids      <|in|>user⏎Is tea hot?<|out|>⏎<|in|>assistant⏎Yes.<|out|>
    said.learned                                                ^^^^^^^^^^^   what a model is taught to say

An assistant's turn begins where the template hands over to it, and ends with the special token that closes it: who is to stop
there must have learned to. Tokens are those that are read and said when the model is asked (`local`), seam by seam, so that
nothing is taught in a form that never comes. What follows the last assistant's turn is left out. Control tokens in what was said
are broken (`control_tokens`). O(turns) templates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.chat import Message
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Int32
from headrace.llm.control_tokens import breaking, is_control


@dataclass(frozen=True, eq=False)
class Spoken:
    """ids [n]; learned [n]: the assistant says it."""

    ids: Int32
    learned: NDArray[np.bool_]


class Template:
    """tokenizer: as transformers has it."""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.specials = [str(token) for token in tokenizer.get_added_vocab()]
        added = tokenizer.added_tokens_decoder.values()
        self.broken = breaking(token.content for token in added if is_control(token.content, special=token.special))

    def asked(self, chat: Sequence[Message]) -> str:
        """What is read for a chat, up to where the assistant begins."""
        return self._written(chat, ask=True)

    def spoken(self, chat: Sequence[Message]) -> Spoken:
        """DataError where no assistant speaks, or the template can't say where it does."""
        ids, learned, read = list[int](), list[bool](), ""
        for place, message in enumerate(chat):
            if message.role != "assistant":
                continue
            if place == 0:
                raise DataError("the assistant begins, so there is nothing it answers to. Put what was asked before it.")
            before, after = self.asked(chat[:place]), self._written(chat[: place + 1], ask=False)
            if not before.startswith(read) or not after.startswith(before):
                raise DataError(
                    "the model's template writes a turn anew once others follow it, so what the assistant said can't be marked. "
                    "Give each of its turns as a chat of its own, or take another template."
                )
            answer = after[len(before) :]
            ends = max((answer.rfind(one) + len(one) for one in self.specials if one in answer), default=len(answer))
            prompt = self.encoded(before[len(read) :])
            said = self.continued(self.tail(before), answer[:ends])
            ids += [*prompt, *said]
            learned += [False] * len(prompt) + [True] * len(said)
            read = before + answer[:ends]
        if not ids:
            raise DataError("the assistant says nothing, so there is nothing to learn. Leave it out.")
        return Spoken(np.array(ids, np.int32), np.array(learned))

    def tail(self, text: str) -> str:
        """From its last special token on: no token reaches over one."""
        return text[max([0, *(text.rfind(special) for special in self.specials)]) :]

    def continued(self, tail: str, continuation: str) -> tuple[int, ...]:
        """The continuation's tokens as they follow the prompt's, which stay as they are read. tail: that of the prompt.

        Cut together, so that a word keeps the form it has in the middle of a text; where that would melt the seam into one token,
        which no answer could contain, the continuation is cut by itself.
        """
        before, both = self.encoded(tail), self.encoded(tail + continuation)
        return both[len(before) :] if both[: len(before)] == before else self.encoded(continuation)

    def encoded(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _written(self, chat: Sequence[Message], *, ask: bool) -> str:
        turns = [{"role": message.role, "content": self.broken(message.content)} for message in chat]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))
