"""Learning rubrics: from training rows alone, what was said and no more, every answer that could not be used counted."""

import json
import re

import pytest

from headrace.contracts.errors import DataError
from headrace.llm.chat import Chatting
from headrace.llm.learner import LearnerConfig, RubricLearner, batches, numbered
from headrace.llm.rubric import Rubric
from headrace.llm.transcript import Conversation, Turn
from headrace.testing.chat import Scripted

TALKS = [
    Conversation(f"c{n}", (Turn("user", f"word{n} please"), Turn("assistant", "No."), Turn("user", "Oh."))) for n in range(8)
]
LABELS = {one.id: int(place % 2) for place, one in enumerate(TALKS)}
SPLIT = {one.id: "train" if place < 6 else "test" for place, one in enumerate(TALKS)}


def reasons_of(chat) -> str:
    """One reason a conversation, keyed by its number."""
    (n,) = re.findall(r"word(\d+)", chat[1].content)
    return json.dumps({"reasons": [{"key": f"Key_{n}", "reason": f"said\nword{n}", "turns": [0, 2]}]})


def summary_of(chat) -> str:
    """The list so far, then the new reasons, cut to n."""
    wanted = int(re.findall(r"Write (\d+) items", chat[1].content)[0])
    old = re.findall(r"^- (.+?): (.+) \(\d+ so far\)$", chat[1].content, re.MULTILINE)
    new = re.findall(r"^(\d+)\. (.+?): (.+)$", chat[1].content, re.MULTILINE)
    rows = [{"key": key, "description": text, "reasons": []} for key, text in old]
    rows += [{"key": key, "description": text, "reasons": [int(number)]} for number, key, text in new]
    return json.dumps({"items": rows[:wanted]})


def answering(chat) -> str:
    return summary_of(chat) if "so far" in chat[1].content or "New observations" in chat[1].content else reasons_of(chat)


def learner(answer=answering, **settings):
    backend = Scripted(answer)
    return RubricLearner(Chatting(backend), LearnerConfig(**settings)), backend


def test_only_training_rows_of_the_polarity_are_read():
    one, backend = learner()
    found = one.fit(TALKS, LABELS, SPLIT, "DSAT", name="dsat")
    assert sorted(found.rubric.keys) == ["key 0", "key 2", "key 4"]
    said = "\n".join(message.content for chat in backend.heard for message in chat)
    assert not re.search("word[13567]", said)
    assert "dissatisfied" in backend.heard[0][0].content
    assert [item.support for item in found.rubric.items] == [1, 1, 1]
    assert (found.extracted.asked, found.summarised.asked, found.failure_rate) == (3, 1, 0.0)
    assert {(reason.conversation_id, reason.text, reason.turns) for reason in found.reasons} == {
        (f"c{n}", f"said word{n}", (0, 2)) for n in (0, 2, 4)
    }


def test_a_conversation_without_split_or_label_is_refused():
    one, backend = learner()
    with pytest.raises(DataError, match='"c7" has no split'):
        one.fit(TALKS, LABELS, {key: value for key, value in SPLIT.items() if key != "c7"}, "SAT", name="r")
    with pytest.raises(DataError, match='"c1" of "train" has label None'):
        one.fit(TALKS, {key: value for key, value in LABELS.items() if key != "c1"}, SPLIT, "SAT", name="r")
    with pytest.raises(DataError, match='none of 8 conversations is of split "train"'):
        one.fit(TALKS, LABELS, dict.fromkeys(SPLIT, "test"), "SAT", name="r")
    assert backend.heard == []
    one.fit(
        TALKS, {key: value for key, value in LABELS.items() if SPLIT[key] == "train"}, SPLIT, "SAT", name="r"
    )  # test needs none


def test_the_list_runs_on_through_the_batches():
    one, _ = learner(batch=1, items=2)
    found = one.fit(TALKS, LABELS, SPLIT, "DSAT", name="dsat")
    order = [batch[0].key for batch in batches(found.reasons, 1, 0, "DSAT")]
    assert found.rubric.keys == order[:2]  # this model keeps what came first
    assert found.summarised.asked == 3


def test_shuffling_is_by_the_seed_and_loses_nothing():
    one, _ = learner()
    reasons, _ = one.extract(TALKS, "SAT")
    orders = {tuple(reason.key for batch in batches(reasons, 3, seed, "SAT") for reason in batch) for seed in range(5)}
    assert len(orders) > 1
    assert all(sorted(order) == sorted(reason.key for reason in reasons) for order in orders)
    assert batches(reasons, 3, 1, "SAT") == batches(reasons, 3, 1, "SAT")
    assert [len(batch) for batch in batches(reasons, 3, 0, "SAT")] == [3, 3, 2]
    assert numbered(reasons[:1]) == "1. key 0: said word0"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("no idea", "there is no JSON object"),
        ('{"reasons": [{"key": "k", "reason": "r", "turns": [1]}]}', "turn 1 of"),  # the assistant's
        ('{"reasons": [{"key": "k", "reason": "r", "turns": [40]}]}', "turn 40 of"),
        (json.dumps({"reasons": [{"key": "k", "reason": "r", "turns": []}] * 4}), "reasons"),
    ],
)
def test_an_extraction_that_cannot_be_used_is_counted_and_gives_nothing(bad, says):
    one, _ = learner(lambda chat: bad if "word2" in chat[1].content and "New obs" not in chat[1].content else answering(chat))
    found = one.fit(TALKS, LABELS, SPLIT, "DSAT", name="dsat")
    assert sorted(found.rubric.keys) == ["key 0", "key 4"]
    assert (found.extracted.asked, found.extracted.unparsed) == (3, 1)
    assert says in found.extracted.reasons[0]
    assert found.failure_rate == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    "bad",
    [
        {"items": [{"key": "a", "description": "x", "reasons": [1]}, {"key": "A ", "description": "y", "reasons": []}]},
        {"items": [{"key": "a", "description": "x", "reasons": [1]}, {"key": "b", "description": "X", "reasons": []}]},
        {"items": [{"key": "a", "description": "x", "reasons": [1]}, {"key": "b", "description": "y", "reasons": [1]}]},
        {"items": [{"key": "a", "description": "x", "reasons": [9]}, {"key": "b", "description": "y", "reasons": []}]},
        {"items": [{"key": "a", "description": "x", "reasons": [1]}]},
    ],
    ids=["keys alike", "descriptions alike", "a reason twice", "no such reason", "too few"],
)
def test_a_summary_that_cannot_be_used_leaves_the_list_as_it_was(bad):
    asked = []

    def answer(chat):
        if "New observations" not in chat[1].content:
            return reasons_of(chat)
        asked.append(chat)
        return summary_of(chat) if len(asked) == 1 else json.dumps(bad)

    one, _ = learner(answer, batch=2, items=2)
    found = one.fit(TALKS, LABELS, SPLIT, "DSAT", name="dsat")
    assert found.rubric.keys == [reason.key for reason in batches(found.reasons, 2, 0, "DSAT")[0]]
    assert (found.summarised.asked, found.summarised.unparsed) == (2, 1)


def test_without_any_use_it_says_why():
    one, _ = learner(lambda _: "hm")
    with pytest.raises(DataError, match="no reason could be had from 3 DSAT conversations"):
        one.fit(TALKS, LABELS, SPLIT, "DSAT", name="dsat")
    one, _ = learner(lambda chat: "hm" if "New observations" in chat[1].content else reasons_of(chat))
    with pytest.raises(DataError, match="none of 1 summaries could be used: there is no JSON object"):
        one.fit(TALKS, LABELS, SPLIT, "DSAT", name="dsat")


def test_a_new_version_begins_with_the_items_before():
    one, _ = learner(items=4)
    first = one.fit(TALKS[:1], LABELS, SPLIT, "DSAT", name="dsat").rubric
    second = one.fit(TALKS, LABELS, SPLIT, "DSAT", name="dsat", before=first).rubric
    assert isinstance(second, Rubric)
    assert (second.version, second.parent, second.keys[0]) == (2, first.id, "key 0")
    assert second.items[0].support == 1  # this model ordered nothing new under it
