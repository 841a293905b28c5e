"""Two rubrics of satisfaction by hand, and rules for their items: what needs no model, and what a model's judgement has to beat.

Items are those of the published lists (SPUR learned ten for each side) that patterns can see at all: three of satisfaction, four
of dissatisfaction. Descriptions, weights and patterns are our own, for English, written before any score was computed.
Paper: Lin et al., SPUR, ACL 2024, the names of the rubric's items.
"""

import re

from headrace.llm.rubric import Item, Rubric
from headrace.llm.rule_judge import Pattern, RuleJudge
from headrace.llm.transcript import Conversation

SATISFIED = Rubric(
    "satisfaction, by hand",
    "SAT",
    (
        Item("gratitude", "The user thanks the assistant."),
        Item("positive feedback", "The user praises an answer or says that it is what they wanted."),
        Item("suggestion acceptance", "The user takes up what the assistant proposed."),
    ),
)
DISSATISFIED = Rubric(
    "dissatisfaction, by hand",
    "DSAT",
    (
        Item("negative feedback", "The user says that an answer is wrong, unwanted or no use."),
        Item("repetition", "The user has to say again what they had said before."),
        Item("errors", "The assistant says that it failed, found nothing or cannot do it."),
        Item("sudden end", "The user's last turn neither thanks nor takes leave."),
    ),
)
_ALIKE = 0.6
_LEAST_WORDS = 4
_WORD = re.compile(r"[a-z']+")
_LEAVE = re.compile(r"\b(thank|bye|goodbye|good day|that'?s all|that is all|that'?s it|have a (good|nice|great))", re.IGNORECASE)


def repetition(conversation: Conversation) -> float:
    """Share of user turns that have most words of an earlier one: Jaccard of at least 0.6, of turns of four words or more."""
    said = [set(_WORD.findall(conversation.turns[place].content.lower())) for place in conversation.user_turns]
    again = sum(
        any(len(one & words) >= _ALIKE * len(one | words) for one in said[:place] if len(one) >= _LEAST_WORDS)
        for place, words in enumerate(said)
        if len(words) >= _LEAST_WORDS
    )
    return 1 + 9 * again / len(said) if again else 0.0


def sudden_end(conversation: Conversation) -> float:
    places = conversation.user_turns
    return 0.0 if not places or _LEAVE.search(conversation.turns[places[-1]].content) else 5.0


RULES = RuleJudge(
    "satisfaction-1",
    {
        "gratitude": Pattern(r"\b(thanks|thank you|thank u|thx|appreciate)\b"),
        "positive feedback": Pattern(
            r"\b(great|perfect|awesome|excellent|wonderful|amazing|fantastic|cool|sounds (good|great|nice)|love it|just what|"
            r"good (idea|choice))\b"
        ),
        "suggestion acceptance": Pattern(
            r"\b(yes,? please|that works|works for me|i'?ll (take|try|watch|check|go with)|i will (take|try|watch|check)|"
            r"go ahead|book it|let'?s (do|go with)|sure)\b"
        ),
        "negative feedback": Pattern(
            r"\b(wrong|not what i|that'?s not|isn'?t what|didn'?t (ask|like|want)|don'?t (like|want|care)|hate|terrible|awful|"
            r"boring|useless|disappoint\w*|no good|not (interested|helpful|really|good))\b"
        ),
        "repetition": repetition,
        "errors": Pattern(
            r"\b(sorry|unable|unfortunately|(can ?not|can'?t|could not|couldn'?t) (find|help|book|do)|"
            r"no (\w+ ){0,3}(match\w*|available)|not available|didn'?t (find|understand)|don'?t understand)\b",
            role="assistant",
        ),
        "sudden end": sudden_end,
    },
)
