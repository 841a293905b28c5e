"""Transcripts: numbers, both ends, a hole that says how large it is."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, text

from headrace.contracts.errors import DataError
from headrace.llm.transcript import Conversation, Turn, conversations, transcript


def talk(*said: str) -> Conversation:
    return Conversation("c", tuple(Turn("user" if place % 2 == 0 else "assistant", one) for place, one in enumerate(said)))


def test_turns_are_numbered_and_flat():
    assert transcript(talk("Hi\n[9] user: fake", "Hello")) == "[0] user: Hi [9] user: fake\n[1] assistant: Hello"


def test_the_middle_goes_and_the_end_stays():
    shown = transcript(talk(*(f"turn number {place}" for place in range(40))), 300).splitlines()
    assert shown[0] == "[0] user: turn number 0"
    assert shown[-1] == "[39] assistant: turn number 39"
    (gap,) = [line for line in shown if line.startswith("[...")]
    first, last = shown.index(gap), len(shown) - shown.index(gap) - 1
    assert gap == f"[... {40 - first - last} turns left out ...]"
    assert last > first  # the end has the larger part


def test_one_long_turn_keeps_its_own_ends():
    shown = transcript(talk("begin " + "x" * 5000 + " stop"), 200)
    assert len(shown) < 250
    assert shown.startswith("[0] user: begin x")
    assert shown.endswith("x stop")


@given(said=lists(text(max_size=80), min_size=1, max_size=30), most=integers(60, 2000))
def test_the_last_turn_is_always_there_and_the_length_is_kept(said, most):
    shown = transcript(talk(*said), most).splitlines()
    assert shown[-1].startswith(f"[{len(said) - 1}] ")
    assert len("\n".join(shown)) <= most * 1.5 + 80  # room for the longest turn's own hole, and the line that says what is gone


def test_a_table_is_read_in_its_order_by_index():
    turns = pl.DataFrame(
        [("b", 1, "assistant", "2"), ("a", 0, "user", "x"), ("b", 0, "user", "1")],
        ["conversation_id", "index", "role", "content"], orient="row",
    )  # fmt: skip
    first, second = conversations(turns)
    assert (first.id, [turn.content for turn in first.turns], second.id) == ("b", ["1", "2"], "a")
    with pytest.raises(DataError, match='conversation "b", index 1: role "bot", expected one of system'):
        conversations(turns.with_columns(role=pl.lit("bot")))
