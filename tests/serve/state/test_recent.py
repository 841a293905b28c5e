"""Answers given lately are the same in every process, the oldest go first, and nothing of an erased user is found."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cascade.answers import Answered
from headrace.serve.asked import Asked
from headrace.serve.state.lately import Lately, emptied
from headrace.serve.state.recent import Assigned, RecentHere, Remembered

PAGE = [Answered(1, "tea", "Tea", 0.25, 3, ["ranked 1 of 2"], ["ranked 1 of 2", "codes 1.2"])]


@pytest.fixture
def lately(tmp_path):
    made = Lately(emptied(tmp_path / "lately"))
    yield made
    made.close()


def of(number, user="eve", **more):
    return Remembered.of(Asked(f"r{number}", user, 7, 0, 1, **more), "g", PAGE, deterministic=False)


words = st.text(max_size=8)


@given(
    asked=st.builds(
        Asked, request_id=words, user_id=words, at_us=st.integers(-(2**63), 2**63), seed=st.integers(0, 2**63),
        slots=st.integers(1, 9), excluded=st.lists(words, max_size=2).map(tuple), surface=words, preference=words,
        skipped=st.lists(words, max_size=2).map(tuple), filters=words,
    ),
    assigned=st.none() | st.builds(Assigned, words, words, words, words),
    deterministic=st.booleans(),
)  # fmt: skip
def test_a_row_is_read_as_it_was_written(asked, assigned, deterministic):
    written = Remembered.of(asked, "g", PAGE, deterministic=deterministic, assigned=assigned)
    found = Remembered.read(written.row)
    assert found == written
    assert found.page == PAGE


def test_the_last_are_held_whoever_put_them(lately):
    one, other = (RecentHere(lately, 3) for _ in range(2))
    for number in range(5):
        assert (one, other)[number % 2].put(of(number))
    assert [one.get(f"r{number}") is not None for number in range(5)] == [False, False, True, True, True]
    assert other.get("r4") == of(4)
    assert len(one) == 3


def test_the_first_answer_to_a_request_counts_and_the_second_notes_nothing(lately):
    recent, noted = RecentHere(lately, 3), []
    assert recent.put(of(1), lambda: noted.append("first"))
    assert not recent.put(replace(of(1), generation="another"), lambda: noted.append("second"))
    kept = recent.get("r1")
    assert kept is not None
    assert kept.generation == "g"
    assert noted == ["first"]


def test_none_are_held_where_none_are_wanted(lately):
    recent = RecentHere(lately, 0)
    assert recent.put(of(1))
    assert recent.get("r1") is None


def test_pages_may_be_long_and_then_fewer_are_held(lately, monkeypatch):
    monkeypatch.setattr("headrace.serve.state.recent._MOST_BYTES", 2**20)
    recent = RecentHere(lately, 1000)
    for number in range(100):
        recent.put(of(number, preference="x" * 2**15))
    assert 20 < len(recent) < 35
    assert recent.get("r99") is not None


def test_an_erasure_is_every_process_s_at_once(lately):
    one, other = (RecentHere(lately, 10) for _ in range(2))
    for number, user in enumerate(["eve", "bob", "eve", "eva"]):
        one.put(of(number, user))
    other.forget(lambda users: np.array([user == "eve" for user in users]))
    assert [one.get(f"r{number}") is not None for number in range(4)] == [False, True, False, True]
    for number in range(4, 20):  # what is over still goes in order
        one.put(of(number))
    assert len(one) == 10
