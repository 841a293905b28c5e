"""What users may want next, in a few words each, written by a chat model from the items they chose last.

    found, tally = foreseen(model, ["- Tea for two (tea, pot)", ...], n=10)      a list of `Foreseen` a user, the likeliest first

A user's items are one text, the newest first, and data to the model: what reads like an order in them is fenced (`prompt`). An
answer that does not meet the schema is asked for once more, then dropped and counted: such a user has none, and nobody guesses.
How sure the model was: the mean log-probability of a token of the answer that names this one alone, where the model has `score`;
None where it has not. It is the model's belief in the words, the brackets around them included, and no share of anything.
Cost: a call a user, and a scored continuation for each description. Relation to `preferences`: those are of the past and are
followed by a model that was trained to; these are of what is to come, and are looked up.
Paper: GPL (arXiv 2602.20995) has codes written by a tuned model; words by one that was not are ours.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt

from headrace.contracts.chat import Chat, ChatModel, Sampling, Unsupported
from headrace.contracts.config import config
from headrace.llm.asking import Tally, asked
from headrace.llm.prompt import load

PROMPT = "anchors"
_SHORTEST, _LONGEST = 3, 120


@config
class ForeseenConfig:
    """score: False for a model that could and would cost too much."""

    max_tokens: Annotated[int, Gt(0)] = 512
    seed: int = 0
    score: bool = True


@dataclass(frozen=True)
class Foreseen:
    """log_prob: of a token, None where the model doesn't say."""

    text: str
    log_prob: float | None = None


def schema(most: int) -> dict[str, Any]:
    one = {"type": "string", "minLength": _SHORTEST, "maxLength": _LONGEST}
    return {
        "type": "object",
        "properties": {"wants": {"type": "array", "items": one, "minItems": 1, "maxItems": most}},
        "required": ["wants"],
        "additionalProperties": False,
    }


def foreseen(
    model: ChatModel, users: Sequence[str], n: int, settings: ForeseenConfig | None = None
) -> tuple[list[list[Foreseen]], Tally]:
    """users: the items of each, an item a line."""
    settings, prompt = settings or ForeseenConfig(), load(PROMPT)
    chats: list[Chat] = [prompt.chat(n=n, items=items) for items in users]
    sampling = Sampling(max_tokens=settings.max_tokens, seed=settings.seed)
    answers, tally = asked(model, chats, schema(n), _read, sampling)
    texts = [answer or [] for answer in answers]
    scores = _scores(model, chats, texts) if settings.score else None
    return [
        [Foreseen(text, None if scores is None else scores[place][at]) for at, text in enumerate(said)]
        for place, said in enumerate(texts)
    ], tally  # fmt: skip


def _read(_: int, answer: Mapping[str, Any]) -> list[str]:
    said = (" ".join(one.split()) for one in answer["wants"])
    return list(dict.fromkeys(one for one in said if one))


def _scores(model: ChatModel, chats: Sequence[Chat], texts: Sequence[list[str]]) -> list[list[float]] | None:
    spoken = [place for place, said in enumerate(texts) if said]
    said = [[json.dumps({"wants": [one]}, ensure_ascii=False) for one in texts[place]] for place in spoken]
    try:
        scored = model.score([chats[place] for place in spoken], said)
    except Unsupported:
        return None
    found: list[list[float]] = [[] for _ in texts]
    for place, one in zip(spoken, scored, strict=True):
        found[place] = (one.log_prob / one.tokens).tolist()
    return found
