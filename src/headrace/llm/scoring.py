"""Log-probabilities of continuations, behind the same cache and budget as answers.

A call is one chat with all its continuations; its prompt tokens are those of the chat and of every continuation.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from headrace.contracts.chat import BudgetReached, Chat, Scored, Usage
from headrace.contracts.errors import HeadraceError
from headrace.llm.remembered import key_of_score, row_of_score, score_of

if TYPE_CHECKING:
    from headrace.llm.chat import Chatting


def score_many(model: "Chatting", chats: Sequence[Chat], continuations: Sequence[Sequence[str]]) -> list[Scored]:
    if len(chats) != len(continuations):
        raise HeadraceError(f"{len(chats):,} chats and continuations for {len(continuations):,}: expected one list a chat.")
    keys = [key_of_score(model.id, chat, said) for chat, said in zip(chats, continuations, strict=True)]
    known = model.cache.get_many(dict.fromkeys(keys)) if model.cache else {}
    found = {key: score_of(row) for key, row in known.items()}
    firsts = {key: place for place, key in reversed(list(enumerate(keys)))}
    waiting = [place for place, key in enumerate(keys) if key not in found and firsts[key] == place]
    model.spend(Usage(cached=len(keys) - len(waiting)))
    while waiting:
        part = list(islice(waiting, _fitting(model, chats, continuations, waiting)))
        del waiting[: len(part)]
        scored = model.backend.score([chats[place] for place in part], [continuations[place] for place in part])
        for place, one in zip(part, scored, strict=True):
            found[keys[place]] = one
            model.spend(model.call_of(model.backend.prompt_tokens(chats[place]) + int(one.tokens.sum()), 0))
            if model.cache:
                model.cache.put(keys[place], row_of_score(one))
        if model.cache:
            model.cache.flush()
    return [found[key] for key in keys]


def _fitting(model: "Chatting", chats: Sequence[Chat], continuations: Sequence[Sequence[str]], waiting: Sequence[int]) -> int:
    part = waiting[: model.backend.at_once]
    if model.budget is None:
        return len(part)
    worst = Usage()
    for fit, place in enumerate(part):
        # No token is shorter than a byte, but a template may end a chat in one more.
        bytes_said = sum(len(said.encode(errors="surrogatepass")) + 1 for said in continuations[place])
        worst += model.call_of(model.backend.prompt_tokens(chats[place]) + bytes_said, 0)
        if refusal := model.budget.refusal(worst):
            if fit:
                return fit
            raise BudgetReached(
                f"{model.id}: the budget ends at {refusal}. {len(waiting):,} chats are not scored. Raise the limit."
            )
    return len(part)
