"""What users were taken to want, written by a chat model from the last few items before each moment.

    preferences, tally = written(model, Opinions.of_log(log), texts)

A state of a user is asked about once: with its at most five newest items, their texts, what was thought of them, and nothing of
what came later. Equal questions are one. An answer that does not meet the schema, has an instruction of a single word, or begins
one in another way than its polarity says is dropped and counted: such a state has no preference, and nobody guesses one. Items'
texts are data to the model: what reads like an order in them is fenced (`prompt`).
Cost: a call for each state with an opinion in it, about one an event: give `states` where a sample will do. Without a model, and
for what is to be the same tomorrow, take `data.preference_templates`.
Paper: Paischer et al., arXiv 2412.08604, section 3; its model saw reviews, drew at temperature 0.6 and wrote exactly five.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt

from headrace.contracts.chat import ChatModel, Sampling
from headrace.contracts.config import config
from headrace.contracts.requests import Int64
from headrace.data.preference_templates import AVOID, FIND
from headrace.data.preferences import NEWEST, Opinions, Preferences
from headrace.llm.asking import Tally, Unusable, asked
from headrace.llm.prompt import load

_MARKS = {1: "liked", -1: "disliked", 0: "neither"}
_BEGINS = {"find": (FIND, 1), "avoid": (AVOID, -1)}


@config
class WrittenConfig:
    """instructions: of a state, at most. newest: items it is made of. characters: of an item's text."""

    instructions: Annotated[int, Gt(0)] = NEWEST
    newest: Annotated[int, Gt(0)] = NEWEST
    characters: Annotated[int, Gt(0)] = 400
    max_tokens: Annotated[int, Gt(0)] = 512
    seed: int = 0


def schema(most: int) -> dict[str, Any]:
    instruction = {
        "type": "object",
        "properties": {
            "polarity": {"enum": list(_BEGINS)},
            "text": {"type": "string", "minLength": 3, "maxLength": 120},
        },
        "required": ["polarity", "text"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"instructions": {"type": "array", "items": instruction, "minItems": 1, "maxItems": most}},
        "required": ["instructions"],
        "additionalProperties": False,
    }


def written(
    model: ChatModel, opinions: Opinions, texts: Sequence[str], settings: WrittenConfig | None = None, *,
    states: Int64 | None = None,
) -> tuple[Preferences, Tally]:  # fmt: skip
    """texts: by item number. states: places of those to ask about, all if None; one without an opinion is not asked about."""
    settings, prompt = settings or WrittenConfig(), load("preferences")
    windows = opinions.windows(settings.newest)
    speaks = (np.append(opinions.mark, 0)[windows] != 0).any(1)
    chosen = np.arange(opinions.states) if states is None else np.asarray(states)
    chosen = chosen[speaks[chosen]]
    chats = [
        prompt.chat(n=settings.instructions, items=_told(opinions, windows[state], texts, settings.characters))
        for state in chosen.tolist()
    ]
    sampling = Sampling(max_tokens=settings.max_tokens, seed=settings.seed)
    answers, tally = asked(model, chats, schema(settings.instructions), _read, sampling)
    said: list[Sequence[tuple[str, int]]] = [()] * opinions.states
    for state, answer in zip(chosen.tolist(), answers, strict=True):
        said[state] = answer or ()
    return Preferences.of_states(opinions, said, f"{model.id}, {prompt.id}"), tally


def _told(opinions: Opinions, window: Int64, texts: Sequence[str], characters: int) -> str:
    """An item a line."""
    lines = []
    for place in window[window >= 0].tolist():
        text = " ".join(texts[opinions.events.items[place]].split())[:characters]
        lines.append(f"- {_MARKS[int(opinions.mark[place])]}: {text or '(no text)'}")
    return "\n".join(lines)


def _read(place: int, answer: Mapping[str, Any]) -> list[tuple[str, int]]:
    found = []
    for one in answer["instructions"]:
        text, (begins, polarity) = " ".join(one["text"].split()), _BEGINS[one["polarity"]]
        if not text.startswith(begins):
            raise Unusable(f'"{text}" is to {one["polarity"]} and does not begin with "{begins.strip()}"')
        if len(text.split(" ")) < 2:
            raise Unusable(f'"{text}" is a single word')
        found.append((text, polarity))
    return list(dict.fromkeys(found))
