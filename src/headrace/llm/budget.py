"""What a run may spend on language models. What a call may cost at most is set aside before it is sent, so no limit is passed.

    budget = Budget(Limits(max_cost=2.0))
    Chatting(judge, budget=budget, prices=Prices(prompt=0.5, completion=1.5)), Chatting(writer, budget=budget, ...)

At most means: the whole chat and max_tokens of answer, and the same again where an unparsed answer is asked for once more. One
budget may stand behind several models. It holds as far as a server reports what it used and keeps to max_tokens.
"""

from dataclasses import fields
from typing import Annotated

from annotated_types import Ge

from headrace.contracts.chat import Usage
from headrace.contracts.config import config


@config
class Prices:
    """Per million tokens, in any one currency."""

    prompt: Annotated[float, Ge(0)] = 0.0
    completion: Annotated[float, Ge(0)] = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


@config
class Limits:
    """None: no limit. cost: in the currency of the prices. tokens: of prompts and answers together."""

    max_cost: Annotated[float, Ge(0)] | None = None
    max_tokens: Annotated[int, Ge(0)] | None = None
    max_calls: Annotated[int, Ge(0)] | None = None


class Budget:
    """spent: before, as in a run that is taken up."""

    def __init__(self, limits: Limits, spent: Usage | None = None):
        self.limits = limits
        self.spent = spent or Usage()
        self.cut = 0
        """Second tries that it had no room for: their chats are unparsed, and would perhaps not be with more."""

    def refusal(self, worst: Usage) -> str:
        """ "" where the worst case fits into what is left."""
        for one in fields(self.limits):
            limit = getattr(self.limits, one.name)
            if limit is not None and (left := limit - _amount(self.spent, one.name)) < (asked := _amount(worst, one.name)):
                what = one.name.removeprefix("max_")
                return (
                    f"{what}: the next call may take {_said(asked)}, and of {_said(limit)} there are {_said(max(left, 0))} left"
                )
        return ""

    def spend(self, usage: Usage) -> None:
        self.spent += usage


def _amount(usage: Usage, limit: str) -> float:
    match limit:
        case "max_cost":
            return usage.cost
        case "max_tokens":
            return usage.prompt_tokens + usage.completion_tokens
        case _:
            return usage.calls


def _said(amount: float) -> str:
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:.6g}"
