"""How an answer is found again: the key of a question, and the row that is kept under it."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from headrace.contracts.chat import Chat, Completion, Sampling, Scored, Usage

PROMPT_FORMAT = 1
"""Of the words that are put around a chat (the schema's, the second try's). Grows with them: old answers are then not found."""


def key_of(model_id: str, chat: Chat, schema: str | None, sampling: Sampling) -> bytes:
    drawn = [sampling.max_tokens, sampling.temperature, sampling.seed]
    return _digest(["complete", PROMPT_FORMAT, model_id, _said(chat), schema, drawn])


def key_of_score(model_id: str, chat: Chat, continuations: Sequence[str]) -> bytes:
    return _digest(["score", PROMPT_FORMAT, model_id, _said(chat), list(continuations)])


def row_of(answer: Completion, spent: Usage) -> dict[str, Any]:
    """spent: on this answer, in whatever run."""
    row = {"text": answer.text, "status": answer.status, "parsed": answer.parsed, "reason": answer.reason}
    return row | {"usage": [spent.calls, spent.prompt_tokens, spent.completion_tokens, spent.cost]}


def row_of_first(answer: Completion, told: str, spent: Usage) -> dict[str, Any]:
    """A first answer that did not meet the schema. It is paid for, so a run that goes on begins with the second try."""
    return row_of(answer, spent) | {"told": told}


def spent_on(row: Mapping[str, Any]) -> Usage:
    calls, prompt, completion, cost = row.get("usage", (0, 0, 0, 0.0))
    return Usage(calls=calls, prompt_tokens=prompt, completion_tokens=completion, cost=cost)


def completion_of(row: Mapping[str, Any]) -> Completion:
    return Completion(row["text"], row["status"], row["parsed"], row["reason"])


def row_of_score(scored: Scored) -> dict[str, Any]:
    return {"log_prob": scored.log_prob.tolist(), "tokens": scored.tokens.tolist()}


def score_of(row: Mapping[str, Any]) -> Scored:
    return Scored(np.array(row["log_prob"], np.float64), np.array(row["tokens"], np.int64))


def _said(chat: Chat) -> list[list[str]]:
    return [[message.role, message.content] for message in chat]


def _digest(asked: list[Any]) -> bytes:
    return sha256(json.dumps(asked, separators=(",", ":")).encode()).digest()
