"""Learns a rubric from labelled conversations: why was this user (dis)satisfied, and which few reasons come up again and again?

    1  each labelled conversation: at most `reasons` things its user did that show the outcome
    2  the reasons of one polarity, shuffled, in minibatches; each with the list so far gives a new list of n distinct items

Step 1 tells the model the label, so its output knows the answers: it is asked of the training split alone, and no other row may
come near it. A batch whose answer can't be used leaves the list as it was and is counted. The list so far may forget what came
early; two seeds give two orders, which is how to see whether it did. An item's support is the number of reasons that the model
ordered under it, so it is what the model says, checked only for counting no reason twice.
Paper: Lin et al., SPUR, ACL 2024, phases 1 and 2. What two groups want differently: `contrast`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt

from headrace.contracts.chat import ChatModel, Sampling
from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.llm.asking import Tally, Unusable, asked
from headrace.llm.prompt import load
from headrace.llm.rubric import Item, Rubric
from headrace.llm.transcript import Conversation, transcript

OUTCOMES = {"SAT": "satisfied", "DSAT": "dissatisfied"}
KEY = {"type": "string", "minLength": 1, "maxLength": 60}
SENTENCE = {"type": "string", "minLength": 1, "maxLength": 400}
NUMBERS = {"type": "array", "items": {"type": "integer"}}


@config
class LearnerConfig:
    """reasons: a conversation, at most. items: of a rubric. batch: reasons in one summary. characters: of a transcript."""

    reasons: Annotated[int, Gt(0)] = 3
    items: Annotated[int, Gt(0)] = 10
    batch: Annotated[int, Gt(0)] = 50
    characters: Annotated[int, Gt(0)] = 6000
    max_tokens: Annotated[int, Gt(0)] = 1500
    seed: int = 0


@dataclass(frozen=True)
class Reason:
    """One thing a user did, with the numbers of the turns that show it."""

    conversation_id: str
    key: str
    text: str
    turns: tuple[int, ...]


@dataclass(frozen=True)
class Learnt:
    """rubric: with support. reasons: what it was made of. extracted, summarised: what was asked and could not be used."""

    rubric: Rubric
    reasons: tuple[Reason, ...]
    extracted: Tally
    summarised: Tally

    @property
    def failure_rate(self) -> float:
        return (self.extracted + self.summarised).rate


@dataclass(frozen=True)
class RubricLearner:
    model: ChatModel
    config: LearnerConfig = field(default_factory=LearnerConfig)

    def fit(
        self, conversations: Sequence[Conversation], labels: Mapping[str, int], split: Mapping[str, str],
        polarity: Literal["SAT", "DSAT"], *, name: str, before: Rubric | None = None,
    ) -> Learnt:  # fmt: skip
        """labels: conversation id -> 1 (satisfied) or 0. split: conversation id -> its split; only "train" is read, and every
        conversation has one. before: the version that this one replaces; its items are the list to begin with."""
        wanted = int(polarity == "SAT")
        chosen = [one for one in training(conversations, split) if _label(one, labels) == wanted]
        reasons, extracted = self.extract(chosen, polarity)
        if not reasons:
            raise DataError(
                f'rubric "{name}": no reason could be had from {len(chosen)} {polarity} conversations of "train" '
                f"({extracted.unparsed} answers unusable, {extracted.failed} failed). Label more, or use a stronger model."
            )
        items, summarised = self._summarise(reasons, polarity, () if before is None else before.items)
        if not items:
            raise DataError(
                f'rubric "{name}": none of {summarised.asked} summaries could be used: {"; ".join(summarised.reasons)}. '
                "Use a stronger model, or smaller batches."
            )
        method = f"spur, {self.model.id}, {load('spur.extract').id}, {load('spur.summarise').id}, seed {self.config.seed}"
        made = Rubric(name, polarity, items, method=method) if before is None else before.next(items, method=method)
        return Learnt(made, tuple(reasons), extracted, summarised)

    def extract(self, conversations: Sequence[Conversation], polarity: Literal["SAT", "DSAT"]) -> tuple[list[Reason], Tally]:
        """The outcome of these is known to be `polarity`: give it training rows alone."""
        prompt, most = load("spur.extract"), self.config.reasons
        chats = [
            prompt.chat(outcome=OUTCOMES[polarity], most=most, transcript=transcript(one, self.config.characters))
            for one in conversations
        ]

        def read(place: int, answer: Mapping[str, Any]) -> list[Reason]:
            one = conversations[place]
            for reason in answer["reasons"]:
                if wrong := set(reason["turns"]) - set(one.user_turns):
                    raise Unusable(f'turn {min(wrong)} of "{one.id}" is not one of its user\'s')
            return [
                Reason(one.id, plain(it["key"]), " ".join(it["reason"].split()), tuple(it["turns"])) for it in answer["reasons"]
            ]

        found, tally = asked(self.model, chats, _reasons_schema(most), read, Sampling(max_tokens=self.config.max_tokens))
        return [reason for reasons in found for reason in reasons or ()], tally

    def _summarise(self, reasons: Sequence[Reason], polarity: str, start: Sequence[Item]) -> tuple[tuple[Item, ...], Tally]:
        prompt, items, tally = load("spur.summarise"), tuple(start), Tally()
        seen = 0
        for batch in batches(reasons, self.config.batch, self.config.seed, polarity):
            seen += len(batch)
            n = min(self.config.items, seen + len(start))  # n distinct items can't be made of fewer reasons
            chat = prompt.chat(outcome=OUTCOMES[polarity], n=n, reasons=numbered(batch), current=current(items))
            (found,), one = asked(
                self.model, [chat], _items_schema(n), partial(_read_items, batch, items),
                Sampling(max_tokens=self.config.max_tokens),
            )  # fmt: skip
            tally += one
            items = items if found is None else found
        return items, tally


def training(conversations: Sequence[Conversation], split: Mapping[str, str]) -> list[Conversation]:
    lost = next((one.id for one in conversations if one.id not in split), None)
    if lost is not None:
        raise DataError(f'conversation "{lost}" has no split. A rubric is learned from "train" alone: name every one\'s split.')
    found = [one for one in conversations if split[one.id] == "train"]
    if not found:
        raise DataError(f'none of {len(conversations)} conversations is of split "train", the only one a rubric is learned from.')
    return found


def batches(reasons: Sequence[Reason], size: int, seed: int, *names: str) -> list[list[Reason]]:
    """All of them, shuffled, in parts of `size`."""
    order = rng(seed, "reasons", *names).permutation(len(reasons))
    return [[reasons[place] for place in part] for part in np.split(order, range(size, len(order), size))]


def numbered(reasons: Sequence[Reason]) -> str:
    return "\n".join(f"{number}. {one.key}: {one.text}" for number, one in enumerate(reasons, 1))


def current(items: Sequence[Item]) -> str:
    return "\n".join(f"- {one.key}: {one.description} ({one.support} so far)" for one in items) or "(empty)"


def counted(groups: Sequence[Sequence[int]], n: int) -> list[int]:
    """How many reasons each item was given; Unusable where a number isn't one of 1..n or is given twice."""
    given = [number for numbers in groups for number in numbers]
    if len(set(given)) < len(given) or any(not 1 <= number <= n for number in given):
        raise Unusable(f"reasons {sorted(given)} are ordered under items, expected each of 1 to {n} at most once")
    return [len(numbers) for numbers in groups]


def distinct(keys: Sequence[str]) -> list[str]:
    plained = [plain(key) for key in keys]
    if "" in plained or len(set(plained)) < len(plained):
        raise Unusable(f"keys {', '.join(plained)} are not distinct")
    return plained


def plain(key: str) -> str:
    return " ".join(key.lower().replace("_", " ").split())


def _read_items(batch: Sequence[Reason], before: Sequence[Item], _: int, answer: Mapping[str, Any]) -> tuple[Item, ...]:
    rows = answer["items"]
    keys = distinct([row["key"] for row in rows])
    if len({plain(row["description"]) for row in rows}) < len(rows):
        raise Unusable("two items have one description")
    support = {item.key: item.support for item in before}
    counts = counted([row["reasons"] for row in rows], len(batch))
    return tuple(
        Item(key, row["description"].strip(), support=support.get(key, 0) + count)
        for key, row, count in zip(keys, rows, counts, strict=True)
    )


def _label(conversation: Conversation, labels: Mapping[str, int]) -> int:
    if labels.get(conversation.id) not in (0, 1):
        raise DataError(
            f'conversation "{conversation.id}" of "train" has label {labels.get(conversation.id)!r}, expected 1 (satisfied) or 0.'
        )
    return labels[conversation.id]


def _reasons_schema(most: int) -> dict[str, Any]:
    return list_of("reasons", {"key": KEY, "reason": SENTENCE, "turns": NUMBERS}, maxItems=most)


def _items_schema(n: int) -> dict[str, Any]:
    return list_of("items", {"key": KEY, "description": SENTENCE, "reasons": NUMBERS}, minItems=n, maxItems=n)


def list_of(name: str, properties: Mapping[str, Any], **length: int) -> dict[str, Any]:
    row = {"type": "object", "properties": dict(properties), "required": list(properties), "additionalProperties": False}
    rows = {"type": "array", "items": row, **length}
    return {"type": "object", "properties": {name: rows}, "required": [name], "additionalProperties": False}
