"""One chunk asked and read: its rows of the out file, in their order."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from headrace.contracts.chat import BudgetReached, Completion, Usage
from headrace.llm.annotation.columns import values_of
from headrace.llm.annotation.plan import REASON, STATUS, Plan
from headrace.llm.annotation.rows import Chunk
from headrace.llm.asking import Unusable
from headrace.llm.backend import Backend
from headrace.llm.budget import Budget
from headrace.llm.cache import Answers
from headrace.llm.chat import Chatting

Heard = Callable[[Completion], None]


@dataclass(frozen=True)
class Outcome:
    """Of a chunk. frame: None where the budget ended in it, and then `reached` says how. usage: what it took, either way."""

    number: int
    usage: Usage
    frame: pl.DataFrame | None = None
    reached: str = ""


def filled(plan: Plan, backend: Backend, cache: Answers, chunk: Chunk, taken: Usage, heard: Heard | None = None) -> Outcome:
    """taken: what of the limits is spent, or is not this chunk's to spend. heard: told of each answer as it comes."""
    budget = Budget(plan.limits, taken)
    model = Chatting(backend, cache, budget, plan.prices)
    chats = [plan.chat(texts) for texts in chunk.texts]
    each = None if heard is None else lambda _, answer: heard(answer)
    try:
        answers = model.complete_many(chats, plan.schema, sampling=plan.sampling, each=each)
    except BudgetReached as error:
        return Outcome(chunk.number, model.usage, reached=str(error))
    if budget.cut:  # rows that more money might have parsed: they are not settled
        reached = f"{model.id}: the budget had no room for the second try of {budget.cut:,} rows."
        return Outcome(chunk.number, model.usage, reached=reached)
    return Outcome(chunk.number, model.usage, frame_of(plan, chunk.keys, answers))


def frame_of(plan: Plan, keys: pl.Series, answers: list[Completion]) -> pl.DataFrame:
    rows, statuses, reasons = [], [], []
    for answer in answers:
        values, status, reason = [None] * len(plan.columns), answer.status, answer.reason
        if answer.parsed is not None:
            try:
                values = values_of(plan.columns, answer.parsed)
            except Unusable as error:
                status, reason = "unparsed", str(error)
        rows.append(values)
        statuses.append(status)
        reasons.append(reason.encode(errors="replace").decode() or None)
    dtypes = {name: column.dtype for name, column in plan.columns.items()}
    filled_in = pl.DataFrame(rows, schema=dtypes, orient="row")
    return filled_in.select(keys, pl.all(), pl.Series(STATUS, statuses, pl.String), pl.Series(REASON, reasons, pl.String))
