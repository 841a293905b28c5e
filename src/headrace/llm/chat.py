"""A chat model out of a backend: what all of them need and none should do by itself.

    Chatting(backend, cache, budget, prices).complete_many(chats, schema)

    each chat:  in the cache?  ->  fits the budget?  ->  backend  ->  meets the schema?  ->  cache, each(place, completion)
                                                                      no, the first time: told what was wrong, asked once more
                                                                      no, again: unparsed

Equal chats in one call are asked once; the others count as cached, so several draws of one chat need several seeds. Chats go to
the backend in parts of its `at_once`, fewer where the budget ends, and what a part brought is on disk before the next begins.
Failed answers are not kept: asked again, they are tried again.
"""

from collections.abc import Sequence

from headrace.contracts.chat import Chat, Completion, Sampling, Schema, Scored, Usage
from headrace.contracts.errors import ConfigError
from headrace.llm.backend import Backend
from headrace.llm.budget import Budget, Prices
from headrace.llm.cache import Answers
from headrace.llm.call import Call, Each
from headrace.llm.scoring import score_many
from headrace.llm.structured import Wanted

_DEFAULT = Sampling()


class Chatting:
    """budget: one may stand behind several models. prices: of this one."""

    def __init__(
        self, backend: Backend, cache: Answers | None = None, budget: Budget | None = None, prices: Prices | None = None
    ):
        if budget is not None and budget.limits.max_cost is not None and prices is None:
            raise ConfigError(
                f"{backend.id}: max_cost is set, but no prices. Give Prices(prompt=..., completion=...), 0 if it is free."
            )
        self.backend, self.cache, self.budget, self.prices = backend, cache, budget, prices or Prices()
        self._usage = Usage()

    @property
    def id(self) -> str:
        return self.backend.id

    @property
    def usage(self) -> Usage:
        return self._usage

    def complete_many(
        self, chats: Sequence[Chat], schema: Schema | None = None, *, sampling: Sampling = _DEFAULT, each: Each | None = None
    ) -> list[Completion]:
        call = Call(self, chats, None if schema is None else Wanted(schema), sampling, each)
        try:
            call.remember()
            while call.waiting:
                call.ask(call.next_part())
                if self.cache:
                    self.cache.flush()
        finally:  # also when `each`, the backend or the budget ends it
            if self.cache:
                self.cache.flush()
        return call.answers()

    def score(self, chats: Sequence[Chat], continuations: Sequence[Sequence[str]]) -> list[Scored]:
        return score_many(self, chats, continuations)

    def spend(self, usage: Usage) -> None:
        self._usage += usage
        if self.budget:
            self.budget.spend(usage)

    def call_of(self, prompt_tokens: int, completion_tokens: int) -> Usage:
        cost = self.prices.cost(prompt_tokens, completion_tokens)
        return Usage(calls=1, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, cost=cost)
