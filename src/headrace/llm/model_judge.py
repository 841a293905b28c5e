"""A language model as a judge: by the log-probabilities of its possible answers where it gives them, else by JSON.

    by log-probability    p(s) = softmax over s in {0, scale} of log p('{"impact": s}' | item, conversation)
                          present where p(0) < 1/2; the score is then the mean of s > 0 under p
    by JSON               one question a conversation with all rubrics: present, impact, evidence of every item

The first asks items x conversations questions, is never unparsed, and fits small models that write JSON badly; the second asks
one a conversation and says why. They are two judges: the way is part of the id. Whole answers are scored, closing brace and all,
for a bare "1" would also collect what begins "10".
`compare` asks in both orders either way. Authors of SPUR found that small models don't score reliably: calibrate before use.
Paper: Lin et al., SPUR, ACL 2024, phase 3, which asks by text; scoring by log-probability is our own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, cast

import numpy as np

from headrace.contracts.chat import Chat, ChatModel, Message, Sampling, Unsupported
from headrace.contracts.requests import Float64
from headrace.llm.asking import Tally, Unusable, asked
from headrace.llm.judge import ItemScore, Scores, Verdict, Verdicts, refuse_uneven, refuse_unfit
from headrace.llm.prompt import load
from headrace.llm.rubric import Item, Rubric
from headrace.llm.transcript import Conversation, transcript

_WORDS = ("first", "second", "tie")
_AS_GIVEN: Mapping[str, Verdict] = {"first": "a", "second": "b", "tie": "tie"}
_SWAPPED: Mapping[str, Verdict] = {"first": "b", "second": "a", "tie": "tie"}
_VERDICT_SCHEMA = {
    "type": "object", "properties": {"verdict": {"enum": list(_WORDS)}}, "required": ["verdict"], "additionalProperties": False,
}  # fmt: skip


def gives_log_prob(model: ChatModel) -> bool:
    """Asks it once, with the shortest of questions."""
    try:
        model.score([[Message("user", "Yes or no?")]], [["yes", "no"]])
    except Unsupported:
        return False
    return True


@dataclass(frozen=True)
class ModelJudge:
    """by: "log_prob" for a model that `gives_log_prob`, else "json". characters: of a transcript."""

    model: ChatModel
    by: Literal["log_prob", "json"]
    characters: int = 6000
    max_tokens: int = 2000

    @property
    def id(self) -> str:
        names = ("spur.impact" if self.by == "log_prob" else "spur.score", "judge.compare")
        said = "|".join([*(load(name).id for name in names), str(self.characters)])
        return f"{self.model.id}/{self.by}/{sha256(said.encode()).hexdigest()[:12]}"

    def score(self, targets: Sequence[Conversation], rubrics: Sequence[Rubric]) -> Scores:
        refuse_unfit(targets, rubrics)
        found, tally = (self._by_log_prob if self.by == "log_prob" else self._by_json)(targets, rubrics)
        return Scores.of(targets, found, rubrics, self.id, tally)

    def compare(self, requests: Sequence[str], a: Sequence[str], b: Sequence[str], rubric: Rubric) -> Verdicts:
        refuse_uneven(requests, a, b)
        prompt, shown = load("judge.compare"), rubric.rendered()
        chats = [
            prompt.chat(rubric=shown, request=request, first=one, second=other)
            for firsts, seconds in ((a, b), (b, a))
            for request, one, other in zip(requests, firsts, seconds, strict=True)
        ]
        if self.by == "log_prob":
            said = self.model.score(chats, [[f'{{"verdict": "{word}"}}' for word in _WORDS]] * len(chats))
            words: list[str | None] = [_WORDS[int(np.argmax(one.log_prob))] for one in said]
            tally = Tally(len(chats))
        else:
            words, tally = asked(
                self.model, chats, _VERDICT_SCHEMA, lambda _, answer: cast(str, answer["verdict"]), Sampling(max_tokens=64)
            )
        as_given = [None if word is None else _AS_GIVEN[word] for word in words[: len(requests)]]
        swapped = [None if word is None else _SWAPPED[word] for word in words[len(requests) :]]
        return Verdicts.of(as_given, swapped, rubric, self.id, tally)

    def _by_log_prob(
        self, targets: Sequence[Conversation], rubrics: Sequence[Rubric]
    ) -> tuple[list[list[list[ItemScore]] | None], Tally]:
        prompt = load("spur.impact")
        chats: list[Chat] = []
        items = [item for rubric in rubrics for item in rubric.items]
        for target in targets:
            text = transcript(target, self.characters)
            chats += [
                prompt.chat(least=item.scale_min, most=item.scale_max, item=f"{item.key}: {item.description}", transcript=text)
                for item in items
            ]
        answers = [[f'{{"impact": {value}}}' for value in _values(item)] for item in items] * len(targets)
        said = iter(self.model.score(chats, answers))
        found: list[list[list[ItemScore]] | None] = [
            [[_expected(next(said).log_prob, item) for item in rubric.items] for rubric in rubrics] for _ in targets
        ]
        return found, Tally(len(chats))

    def _by_json(
        self, targets: Sequence[Conversation], rubrics: Sequence[Rubric]
    ) -> tuple[list[list[list[ItemScore]] | None], Tally]:
        prompt, shown = load("spur.score"), "\n".join(rubric.rendered() for rubric in rubrics)
        chats = [prompt.chat(rubric=shown, transcript=transcript(target, self.characters)) for target in targets]
        return asked(
            self.model, chats, _score_schema(rubrics), lambda place, answer: _read(answer, rubrics, targets[place]),
            Sampling(max_tokens=self.max_tokens),
        )  # fmt: skip


def _values(item: Item) -> list[int]:
    return [0, *range(item.scale_min, item.scale_max + 1)]


def _expected(log_prob: Float64, item: Item) -> ItemScore:
    share = np.exp(log_prob - log_prob.max())
    share /= share.sum()
    if share[0] >= 0.5:
        return ItemScore(0.0, f"p(absent) {share[0]:.3f}")
    values = np.array(_values(item)[1:])
    return ItemScore(float(share[1:] @ values / share[1:].sum()), f"p(absent) {share[0]:.3f}")


def _read(answer: Mapping[str, Any], rubrics: Sequence[Rubric], target: Conversation) -> list[list[ItemScore]]:
    rows = {row["key"]: row for row in answer["items"]}
    items = [item for rubric in rubrics for item in rubric.items]
    if len(rows) < len(answer["items"]) or set(rows) != {item.key for item in items}:
        raise Unusable(f'"{target.id}": {len(answer["items"])} answers on {len(rows)} keys, expected each of {len(items)} once')
    for item in items:
        row = rows[item.key]
        least, most = (item.scale_min, item.scale_max) if row["present"] else (0, 0)
        if not least <= row["impact"] <= most:
            raise Unusable(f'"{target.id}": "{item.key}" is present {row["present"]} with impact {row["impact"]}')
        if row["present"] and not -1 <= row["turn"] < len(target.turns):
            raise Unusable(f'"{target.id}": "{item.key}" names turn {row["turn"]} of {len(target.turns)}')
    return [[_item_score(rows[item.key]) for item in rubric.items] for rubric in rubrics]


def _item_score(row: Mapping[str, Any]) -> ItemScore:
    return ItemScore(row["impact"], f"[{row['turn']}] {row['evidence'].strip()}" if row["present"] else "")


def _score_schema(rubrics: Sequence[Rubric]) -> dict[str, Any]:
    keys = [key for rubric in rubrics for key in rubric.keys]
    row = {
        "key": {"enum": keys}, "present": {"type": "boolean"}, "impact": {"type": "integer", "minimum": 0},
        "evidence": {"type": "string", "maxLength": 300}, "turn": {"type": "integer", "minimum": -1},
    }  # fmt: skip
    rows = {
        "type": "array", "minItems": len(keys), "maxItems": len(keys),
        "items": {"type": "object", "properties": row, "required": list(row), "additionalProperties": False},
    }  # fmt: skip
    return {"type": "object", "properties": {"items": rows}, "required": ["items"], "additionalProperties": False}
