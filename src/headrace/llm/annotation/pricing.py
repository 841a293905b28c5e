"""What an annotation would take, before it is paid for.

    most     every row that is not kept is asked twice, and each answer is max_tokens long
    likely   asked once, with answers as long as a middling object of the columns

Tokens of a prompt are exact where the model's tokenizer is at hand. Of a server they are estimated: most as bytes, which no
byte-level tokenizer exceeds, likely as a quarter of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from headrace.contracts.chat import Chat
from headrace.contracts.progress import Progress, silent
from headrace.llm.annotation.columns import Column
from headrace.llm.annotation.running import Job
from headrace.llm.budget import Prices
from headrace.llm.call import Call
from headrace.llm.chat import Chatting
from headrace.llm.openai_reading import likely_tokens
from headrace.llm.structured import Wanted

_AGAIN = 200  # tokens of the words around a second try, the schema's broken rule among them


@dataclass(frozen=True)
class Price:
    """rows: all; done: in parts that are written; kept: answered already. exact: prompt tokens were counted, not estimated.

    shown: the first chat, as it is sent.
    """

    rows: int
    done: int
    kept: int
    to_ask: int
    exact: bool
    likely_prompt: int
    likely_completion: int
    likely_cost: float
    most_prompt: int
    most_completion: int
    most_cost: float
    shown: Chat


def priced(job: Job, progress: Progress = silent) -> Price:
    """Every row is rendered and counted, and none is asked."""
    plan, table = job.plan, job.table
    exact = plan.model.counts_tokens
    wanted = Wanted(plan.schema)
    answer = min(plan.sampling.max_tokens, likely_tokens(json.dumps(middling(plan.columns))))
    missing = job.work.missing(table.chunks)
    left = sum(map(table.size, missing))
    to_ask = likely = most = seen = 0
    for number in missing:
        chats = [plan.chat(texts) for texts in table.chunk(number).texts]
        call = Call(Chatting(job.backend, job.cache), chats, wanted, plan.sampling, None)
        call.remember()
        schema = len(wanted.text.encode())
        for key in call.waiting:
            chat = call.asked(key)
            tokens = job.backend.prompt_tokens(chat)
            likely += tokens if exact else sum(likely_tokens(message.content) for message in chat)
            most += 2 * (tokens + schema) + plan.sampling.max_tokens + _AGAIN
        to_ask += len(call.waiting)
        seen += len(chats)
        progress("rows counted", seen, left)
    first = plan.chat(table.chunk(0).texts[0])
    shown = Call(Chatting(job.backend), [first], wanted, plan.sampling, None)
    prices, answers, most_answers = plan.prices or Prices(), to_ask * answer, 2 * to_ask * plan.sampling.max_tokens
    return Price(
        table.rows, table.rows - left, left - to_ask, to_ask, exact, likely, answers, prices.cost(likely, answers),
        most, most_answers, prices.cost(most, most_answers), shown.asked(shown.waiting[0]),
    )  # fmt: skip


def middling(columns: Mapping[str, Column]) -> dict[str, object]:
    """An object of a likely length: texts a quarter of what they may be, lists of three."""
    return {name: _middling(column) for name, column in columns.items()}


def _middling(column: Column) -> object:
    match column.type:
        case "text":
            return "x" * ceil((column.max_characters or 1000) / 4)
        case "choice":
            return max(column.choices, key=len)
        case "texts":
            return ["x" * ceil((column.max_characters or 1000) / 4)] * min(3, column.max_items or 3)
        case "choices":
            return [max(column.choices, key=len)] * min(3, column.max_items or 3)
        case "boolean":
            return False
        case _:
            return 0.125 if column.type == "number" else 12
