"""Rules as a judge: a function or a few patterns an item. Exact, free, the same every time, and the least any model has to beat.

    judge = RuleJudge("mine-1", {"gratitude": Pattern(r"\\bthank"), "short": lambda conversation: 5.0 if ... else 0.0})

A rule gives an item's score on its scale, 0 for not present. `Pattern` scores by the share of user turns that it meets, so that a
long conversation is not satisfied by its length. What a rule can't see is not in its score: calibrate it like any other judge.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.llm.asking import Tally
from headrace.llm.judge import ItemScore, Scores, Verdict, Verdicts, refuse_uneven, refuse_unfit
from headrace.llm.rubric import SIGN, Item, Rubric
from headrace.llm.transcript import Conversation, Turn

Rule = Callable[[Conversation], float]
"""A score of 0 or from scale_min to scale_max."""


@dataclass(frozen=True)
class Pattern:
    """A regular expression, case ignored, over the turns of one role. The score is 1 + 9 x the share of turns that meet it."""

    text: str
    role: str = "user"

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        try:
            return re.compile(self.text, re.IGNORECASE)
        except re.error as error:
            raise ConfigError(f'pattern "{self.text}": {error}.') from None

    def __call__(self, conversation: Conversation) -> float:
        turns = [turn for turn in conversation.turns if turn.role == self.role]
        met = sum(self._compiled.search(turn.content) is not None for turn in turns)
        return 1 + 9 * met / len(turns) if met else 0.0


@dataclass(frozen=True)
class RuleJudge:
    """name: changes when a function's answers would; patterns are in the id anyway. rules: item key -> its rule."""

    name: str
    rules: Mapping[str, Rule]

    @property
    def id(self) -> str:
        said = "|".join(f"{key}={rule if isinstance(rule, Pattern) else 'function'}" for key, rule in sorted(self.rules.items()))
        return f"rules/{self.name}/{sha256(said.encode()).hexdigest()[:12]}"

    def score(self, targets: Sequence[Conversation], rubrics: Sequence[Rubric]) -> Scores:
        refuse_unfit(targets, rubrics)
        found = [[[self._item(target, item) for item in rubric.items] for rubric in rubrics] for target in targets]
        return Scores.of(targets, found, rubrics, self.id, Tally(len(targets)))

    def compare(self, requests: Sequence[str], a: Sequence[str], b: Sequence[str], rubric: Rubric) -> Verdicts:
        """Each answer is scored as the end of a conversation that its request began; order can't matter."""
        refuse_uneven(requests, a, b)
        verdicts: list[Verdict] = []
        for request, *answers in zip(requests, a, b, strict=True):
            one, other = (self._total(request, answer, rubric) for answer in answers)
            verdicts.append("tie" if one == other else "a" if one > other else "b")
        return Verdicts.of(verdicts, verdicts, rubric, self.id, Tally(len(requests)))

    def _total(self, request: str, answer: str, rubric: Rubric) -> float:
        if rubric.polarity not in SIGN:
            raise ConfigError(f'rubric "{rubric.name}" is a {rubric.polarity}: it says no answer is better. Compare by CRITERIA.')
        said = Conversation("", (Turn("user", request), Turn("assistant", answer)))
        return SIGN[rubric.polarity] * sum(item.weight * self._item(said, item).score for item in rubric.items)

    def _item(self, target: Conversation, item: Item) -> ItemScore:
        if item.key not in self.rules:
            raise ConfigError(
                f'judge "{self.name}": item "{item.key}" has no rule.{nearest(item.key, self.rules)} '
                f"Rules: {listed(sorted(self.rules), 30)}."
            )
        score = float(self.rules[item.key](target))
        if score and not item.scale_min <= score <= item.scale_max:
            raise ConfigError(
                f'judge "{self.name}": the rule of "{item.key}" gave {score:g}; expected 0, or {item.scale_min} to '
                f"{item.scale_max}."
            )
        return ItemScore(score)
