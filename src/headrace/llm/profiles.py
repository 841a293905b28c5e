"""Users' interests in three sentences, written by a chat model from the texts of the items they chose last.

    lines = lines_of(titles, texts, categories, settings.words)          an item a line, its text cut to 100 words
    summaries, tally = profiles(model, log.interactions(cut_us).history, lines)        a `data.summaries.Summaries`

A user is asked about once, with at most 30 of their newest items, each once, and nothing else: no word of their own reaches the
model, and no number of theirs. Equal pasts are one question. Items' texts are data to the model: what reads like an order in them
is fenced (`prompt`). An answer that does not meet the schema is asked for once more; then it is dropped and counted, and so is
one without a sentence of three words: such a user has none, and nobody guesses.
Cost: a call a user, of some thousand tokens where texts are long. Relation to `interests`: those are of what is to come and a few
words each; these are of what was, and are read as a text. It loses to `data.summaries.extracted` by its price, and where what
matters is the kind of an item alone; a model of some hundred million parameters copies the items instead of summing them up.
Papers: SPAR (arXiv 2402.10555), from which the 30 items, the 100 words and the three sentences are; EmbSum (arXiv 2405.11441).
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from headrace.contracts.chat import Chat, ChatModel, Sampling
from headrace.contracts.config import config
from headrace.contracts.requests import History, Int64
from headrace.data.summaries import Summaries
from headrace.llm.asking import Tally, Unusable, asked
from headrace.llm.prompt import load

PROMPT = "profiles"
_SHORTEST, _LONGEST = 12, 240
_FEWEST = 3  # words of a sentence that says something


@config
class ProfilesConfig:
    """newest: events whose items are told. words: of an item's text. sentences: at most. max_tokens: of an answer."""

    newest: Annotated[int, Gt(0)] = 30
    words: Annotated[int, Ge(0)] = 100
    sentences: Annotated[int, Gt(0)] = 3
    max_tokens: Annotated[int, Gt(0)] = 256
    seed: int = 0


def schema(most: int) -> dict[str, Any]:
    sentence = {"type": "string", "minLength": _SHORTEST, "maxLength": _LONGEST}
    return {
        "type": "object",
        "properties": {"interests": {"type": "array", "items": sentence, "minItems": 1, "maxItems": most}},
        "required": ["interests"],
        "additionalProperties": False,
    }


def lines_of(
    titles: Sequence[str], texts: Sequence[str], categories: Sequence[Sequence[str]], words: int = 100
) -> tuple[str, ...]:
    """By item number, "" for an item of which nothing is said. words: of its text, at most."""
    return tuple(_line(*item, words) for item in zip(titles, texts, categories, strict=True))


def profiles(
    model: ChatModel, history: History, lines: Sequence[str], settings: ProfilesConfig | None = None, *,
    users: Int64 | None = None,
) -> tuple[Summaries, Tally]:  # fmt: skip
    """history: a row a user. users: rows of those to ask about, all if None; one without an item that has a line is not asked
    about."""
    settings, prompt = settings or ProfilesConfig(), load(PROMPT)
    chosen = np.arange(len(history)) if users is None else np.asarray(users)
    past = history.take(chosen).newest(settings.newest)
    chats, rows = list[Chat](), list[int]()
    for place, row in enumerate(chosen.tolist()):
        items = past.items[past.offsets[place] : past.offsets[place + 1]][::-1].tolist()
        told = [f"- {lines[item]}" for item in dict.fromkeys(items) if lines[item]]
        if told:
            rows.append(row)
            chats.append(prompt.chat(n=settings.sentences, items="\n".join(told)))
    sampling = Sampling(max_tokens=settings.max_tokens, seed=settings.seed)
    answers, tally = asked(model, chats, schema(settings.sentences), _read, sampling)
    texts = [""] * len(history)
    for row, answer in zip(rows, answers, strict=True):
        texts[row] = answer or ""
    return Summaries(tuple(texts), f"{model.id}, {prompt.id}"), tally


def _line(title: str, text: str, categories: Sequence[str], words: int) -> str:
    about = " ".join(text.split()[:words])
    said = ": ".join(part for part in (" ".join(title.split()), about) if part)
    return f"{said} ({', '.join(categories)})".strip() if categories else said


def _read(_: int, answer: Mapping[str, Any]) -> str:
    sentences = (" ".join("".join(map(_readable, one)).split()) for one in answer["interests"])
    kept = [one for one in dict.fromkeys(sentences) if len(one.split(" ")) >= _FEWEST]
    if not kept:
        raise Unusable(f"no sentence of {_FEWEST} words or more is in it")
    return " ".join(one if one[-1] in ".!?" else f"{one}." for one in kept)


def _readable(letter: str) -> str:
    """A model may say half a character, which no file takes, or what moves a terminal's cursor."""
    return " " if unicodedata.category(letter) in ("Cc", "Cs") else letter
